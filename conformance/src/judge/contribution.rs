//! A subject's contribution, opened with the round keys of the puppets.

use quorate_crypto::hash::vector_digest;
use quorate_crypto::mask::{Accumulator, KeySum, unmask};
use quorate_crypto::merkle;
use quorate_crypto::share::{Share, ShareContext, ShareSum};
use quorate_crypto::sign::PublicKey;
use quorate_protocol::params::DataPlane;
use quorate_protocol::participant::share_info;
use quorate_protocol::statement::Statement as _;
use quorate_protocol::wire::{self, Contribution};

use crate::report::Findings;
use crate::stage::{Coins, Hall, Scene, leaves};

/// What a contribution opened to.
pub(crate) struct Opened {
    pub(crate) contribution: Contribution,
    /// Shares of the puppets, by place.
    pub(crate) shares: Vec<(u16, Share)>,
    /// The secret's coefficients as field elements.
    pub(crate) secret: Vec<u64>,
}

/// Judges a contribution ([SIG-1], [WIRE-3], [DEAL-1], [DEAL-2], [SHARE-1], [GAUSS-1], [MASK-5], [CODEC-1]).
pub(crate) fn contribution(
    (hall, scene): (&Hall, &Scene),
    (frame, vector): (&[u8], &[u8]),
    coins: &mut Coins,
    findings: &mut Findings,
) -> Option<Opened> {
    let decoded =
        wire::split(frame).ok().and_then(|(_, _, body)| wire::decode_body::<Contribution>(body).ok());
    findings.note("P-03", decoded.is_some(), || "its contribution does not decode".to_owned());
    let contribution = decoded?;
    let header = &contribution.header;
    let key: &PublicKey = hall.registry.key(hall.subject.index)?;
    let own = header.sender == hall.subject && header.sid == scene.sid;
    let signed = header.verify(&scene.context, key, &contribution.signature).is_ok();
    findings.note("P-04", own && signed, || match own {
        true => "the header's signature does not verify under header-sign".to_owned(),
        false => "the header names another sender or session".to_owned(),
    });
    let fits = vector.len() == scene.plan.vector_bytes() && header.vector == vector_digest(vector);
    findings.note("P-05", fits, || "the vector has another length or hash".to_owned());
    let leaves = leaves(&contribution.shares);
    let members = scene.roster.members.len();
    let rooted = leaves.len() == members && merkle::root(&leaves) == header.shares;
    findings.note("P-06", rooted, || "the share root is not that of m sealed shares".to_owned());
    let shares = open(hall, scene, &contribution, findings)?;
    let (secret, key) = secret(scene, &shares, coins, findings)?;
    slots(scene, vector, &key, findings);
    Some(Opened { contribution, shares, secret })
}

fn open(
    hall: &Hall,
    scene: &Scene,
    made: &Contribution,
    findings: &mut Findings,
) -> Option<Vec<(u16, Share)>> {
    let sharing = scene.plan.sharing()?;
    let context = ShareContext { sid: scene.sid, sender: hall.subject.to_bytes() };
    let mut shares = Vec::new();
    for (place, secret) in scene.puppets() {
        let sealed = made.shares.get(usize::from(place) - 1)?;
        let info = share_info(&scene.sid, &hall.subject, &scene.member(place)?, place);
        let plaintext = secret.open(info.as_bytes(), &sealed.enc, &sealed.ct);
        findings.note("P-07", plaintext.is_ok(), || format!("the share of member {place} does not open"));
        let share = sharing.open_share(&plaintext.ok()?, place, &context);
        findings.note("P-08", share.is_ok(), || format!("what member {place} got is no share"));
        shares.push((place, share.ok()?));
    }
    Some(shares)
}

/// The coefficients of `s` from the puppets' shares.
fn secret(
    scene: &Scene,
    shares: &[(u16, Share)],
    coins: &mut Coins,
    findings: &mut Findings,
) -> Option<(Vec<u64>, KeySum)> {
    let sharing = scene.plan.sharing()?;
    let answer = |(place, share): &(u16, Share)| {
        let mut sum = ShareSum::new(sharing);
        sum.add(share);
        Some((*place, sharing.parse_answer(&sum.encode(sharing)).ok()?))
    };
    let answers: Vec<_> = shares.iter().filter_map(answer).collect();
    let opened = sharing.reconstruct(&answers, coins).ok();
    let key = opened.as_ref().and_then(|opened| sharing.key_sum(opened, 1).ok());
    findings.note("P-08", key.is_some(), || "the shares open to no secret within bounds".to_owned());
    let secret = opened?.secrets;
    let half = sharing.prime() / 2;
    let size = |x: u64| if x > half { sharing.prime() - x } else { x };
    let square: f64 = secret.iter().map(|&x| (size(x) as f64).powi(2)).sum::<f64>() / secret.len() as f64;
    // 4.5² ± 10 %: the deviation of this mean over 4096 coefficients is 2.2 %.
    findings
        .note("P-09", (18.2..22.3).contains(&square), || format!("its variance is {square:.1}, not 20.25"));
    Some((secret, key?))
}

/// Takes the mask off: the residual is in bounds, the slots are a weight and coordinates.
fn slots(scene: &Scene, vector: &[u8], key: &KeySum, findings: &mut Findings) {
    let DataPlane::Masked(packing) = scene.plan.data() else { return };
    let codec = scene.plan.codec();
    let mut sum = Accumulator::new(packing, codec.slots());
    let opened = match sum.add(vector) {
        Ok(()) => unmask(packing, scene.plan.matrix(packing), &sum, key, codec.slots()).ok(),
        Err(_) => None,
    };
    findings.note("P-10", opened.is_some(), || "the vector is not masked with the secret dealt".to_owned());
    let Some(slots) = opened else { return };
    let (digits, coordinates) = slots.split_at(codec.weight_slots());
    let bits = u32::from(scene.manifest.schema.bits);
    let weight = digits.iter().rev().fold(0_u64, |weight, digit| weight << bits | digit);
    let fine = (1..=u64::from(scene.manifest.schema.weight_bound)).contains(&weight);
    // A slot is at most 2ᵇ − 1, and no coordinate is at −2^(b−1).
    let on_grid = coordinates.iter().all(|&slot| (1..1 << bits).contains(&slot));
    findings.note("P-11", fine && on_grid, || format!("weight {weight}, or a coordinate off the grid"));
}
