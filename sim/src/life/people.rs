//! The trust root (K4): three people, two of whom sign each step, and what parties make of it ([KL-13], [KL-15]).
//!
//! ```text
//! a person's key is due ─▶ the next key (pending) ─▶ active ─▶ root N + 1 names it, signed under N and N + 1 ─▶ parties step
//!                                                               └ the same signed by one person alone: nobody takes it
//! ```

use std::collections::BTreeMap;

use quorate_keys::audit::Text;
use quorate_keys::root::{Hash, Key, MAX_ROOT, Root, SignedRoot, TrustRoot};
use quorate_keys::watch::Seen;
use quorate_keys::{Class, KeyId, KeyName};

use super::{Life, LifeError, line};

/// Roots, and the parties that follow them.
#[derive(Default)]
pub(super) struct People {
    /// Every root that was signed, by version from 1 on, as it travels.
    roots: Vec<Vec<u8>>,
    /// What each party stands on.
    readers: Vec<TrustRoot>,
}

/// Who signs.
pub(super) const NAMES: [&str; 3] = ["ada", "bo", "cy"];
const THRESHOLD: u32 = 2;

impl Life {
    /// The lines of the people's keys.
    pub(super) fn people(&self) -> impl Iterator<Item = KeyName> + use<> {
        NAMES.into_iter().map(|name| line(Class::Root, name))
    }

    /// The first root, which every party pins.
    pub(super) fn first_root(&mut self) -> Result<(), LifeError> {
        let ids = self.root_keys();
        let first = self.root(1, &ids)?;
        let signed = self.sign_root(first, &[&ids])?;
        let fingerprint = signed.fingerprint()?;
        self.people.roots.push(signed.to_bytes()?);
        let pinned = TrustRoot::pin(signed, &fingerprint)?;
        self.people.readers = vec![pinned; self.config.participants as usize];
        Ok(())
    }

    /// The keys that are in force now, one a person.
    fn root_keys(&self) -> Vec<KeyId> {
        self.people().filter_map(|name| Some(self.book.inventory.protecting(&name).ok()?.0)).collect()
    }

    /// If others are in force than the newest root names: the next root, shown to everybody who is here; and before it, once
    /// each, a root that one person alone has signed and one that leaves a version out.
    pub(super) fn step_root(&mut self) -> Result<(), LifeError> {
        let Some(newest) = self.people.roots.last() else { return Ok(()) };
        let newest = SignedRoot::parse(newest)?;
        let (old, new) = (newest.unverified(), self.root_keys());
        let same = new.len() == NAMES.len() && new.iter().all(|id| old.keys.contains_key(id));
        if same || new.len() < NAMES.len() {
            return self.show_roots();
        }
        let before: Vec<KeyId> = old.keys.keys().cloned().collect();
        let version = old.version + 1;
        let alone = self.root(version, &new)?;
        let alone = self.sign_root(alone, &[&before[..1]])?;
        self.show_root(&alone, &before, &new)?;
        let ahead = self.root(version + 1, &new)?;
        let ahead = self.sign_root(ahead, &[&before, &new])?;
        self.show_root(&ahead, &before, &new)?;
        let next = self.root(version, &new)?;
        let next = self.sign_root(next, &[&before, &new])?;
        self.show_root(&next, &before, &new)?;
        self.people.roots.push(next.to_bytes()?);
        self.report.roots += 1;
        self.show_roots()
    }

    fn root(&self, version: u64, keys: &[KeyId]) -> Result<Root, LifeError> {
        let public = |id: &KeyId| match self.book.public.get(id) {
            Some(quorate_keys::audit::Value::Key(key)) => Some((id.clone(), Key(key.clone()))),
            _ => None,
        };
        Ok(Root {
            v: 1,
            deployment: Text::new("simulation").map_err(|_| LifeError::Store("a name".to_owned()))?,
            version,
            expires: self.at().time.after(quorate_keys::when::Span::days(2 * 365)).0,
            threshold: THRESHOLD,
            keys: keys.iter().filter_map(public).collect(),
            coordinator: BTreeMap::new(),
            audit: BTreeMap::new(),
            model: BTreeMap::new(),
            policy: Hash(self.policy.hash()),
        })
    }

    /// Signed by the first two of each group.
    fn sign_root(&self, root: Root, by: &[&[KeyId]]) -> Result<SignedRoot, LifeError> {
        let mut signed = SignedRoot::new(root)?;
        for id in by.iter().flat_map(|group| group.iter().take(THRESHOLD as usize)) {
            signed.sign(id, &self.signing_key(id)?)?;
        }
        Ok(signed)
    }

    /// Shows a root to the party that stands where everybody does.
    fn show_root(&mut self, shown: &SignedRoot, old: &[KeyId], new: &[KeyId]) -> Result<(), LifeError> {
        let Some(reader) = self.people.readers.last() else { return Ok(()) };
        let signed =
            |ids: &[KeyId]| ids.iter().filter(|id| shown.signers().any(|by| by == *id)).count() as u32;
        let seen = Seen::RootShown {
            versions: (reader.get().version, shown.unverified().version),
            old: (signed(old), THRESHOLD),
            new: (signed(new), THRESHOLD),
            taken: reader.step(shown.clone()).is_ok(),
        };
        self.seen(seen)
    }

    /// Parties that are here take every step that they lack, each of at most [`MAX_ROOT`] bytes.
    fn show_roots(&mut self) -> Result<(), LifeError> {
        let now = self.at().time.0;
        let here: Vec<usize> =
            (0..self.people.readers.len()).filter(|at| !self.is_away(*at as u32)).collect();
        for at in here {
            let behind = self.people.roots.len() as u64 - self.people.readers[at].get().version;
            if behind == 0 {
                continue;
            }
            let roots = &self.people.roots;
            let mut fetch = |version: u64| roots.get(usize::try_from(version).ok()?.checked_sub(1)?).cloned();
            let stood = self.people.readers[at].catch_up(now, &mut fetch)?;
            debug_assert!(roots.iter().all(|bytes| bytes.len() <= MAX_ROOT));
            self.report.root_steps += behind;
            self.people.readers[at] = stood;
        }
        Ok(())
    }

    /// A root of this version and of the next form, read.
    pub(super) fn stored_root(&self) -> Option<Seen> {
        let bytes = self.people.roots.last()?;
        let text = String::from_utf8(bytes.clone()).ok()?;
        let next = text.replacen("\"v\":1", "\"v\":2", 1);
        Some(Seen::Stored {
            form: "a root",
            own: SignedRoot::parse(bytes).is_ok(),
            next: next == text || SignedRoot::parse(next.as_bytes()).is_ok(),
        })
    }
}
