//! A coordinator's folder for a simulated run: its configuration is the run's, its tokens are there.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use getrandom::SysRng;
use quorate_coordinator::init::{FirstJob, InitOptions, init};
use quorate_coordinator::store::{NewToken, SqliteStore, Store as _, StoreError};
use quorate_crypto::seal::SealSuite;
use quorate_keys::EnrolmentToken;
use quorate_sim::config::SimConfig;
use quorate_sim::report::write_atomic;
use quorate_sim::task::Task;
use rand_core::UnwrapErr;

use super::{JOB, QuicArgs, Setting};
use crate::coordinator::{now, wait};
use crate::error::Failure;

/// The coordinator's folder in the run folder.
pub const FOLDER: &str = "coordinator";

/// A coordinator that has not run yet.
pub struct Deployment {
    /// Its folder.
    pub folder: PathBuf,
    /// One token a device.
    pub tokens: Vec<EnrolmentToken>,
    /// Longest time from round to round before something is wrong.
    pub longest: Duration,
}

impl Deployment {
    /// Makes it: keys, configuration, database with all tokens.
    pub fn make(run: &Path, setting: &Setting, quic: &QuicArgs) -> Result<Self, Failure> {
        let (config, task) = (&setting.config, &*setting.task);
        let folder = run.join(FOLDER);
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let model = task.safetensors(&task.initial_model());
        let first = FirstJob {
            dim: config.dim,
            clip: task.default_clip(),
            weight_bound: task.max_examples(),
            model: Some(model),
        };
        let options = InitOptions {
            name: "simulation".to_owned(),
            listen: any,
            admin: any,
            parties: PLACEHOLDER,
            first,
            unlock: None,
        };
        wait(init(&folder, &options)).map_err(Failure::failed)?;
        let stages = Stages::of(config, quic.patience);
        let text = text(config, task, &stages, quic);
        let file = folder.join("coordinator.toml");
        write_atomic(&file, text.as_bytes())
            .map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
        let mut rng = UnwrapErr(SysRng);
        let tokens: Vec<_> = (0..config.participants).map(|_| EnrolmentToken::generate(&mut rng)).collect();
        let created = now();
        let entry = |token: &EnrolmentToken| NewToken {
            hash: token.hash(),
            site: "simulation".to_owned(),
            created,
            expires: created + DAY,
        };
        let entries: Vec<_> = tokens.iter().map(entry).collect();
        let database = folder.join("quorate.db");
        wait(async {
            let store = SqliteStore::open(&database).await?;
            store.tokens_create(&entries).await?;
            store.close().await;
            Ok::<_, StoreError>(())
        })
        .map_err(Failure::failed)?;
        Ok(Self { folder, tokens, longest: stages.contribute + stages.other * 4 + SLACK })
    }
}

/// How long the stages of a round may take.
struct Stages {
    contribute: Duration,
    other: Duration,
}

impl Stages {
    /// Generous, since a round that misses nobody ends before them; finite, since one that does waits for them.
    fn of(config: &SimConfig, wanted: Option<Duration>) -> Self {
        let (n, dim) = (u64::from(config.per_round), u64::from(config.dim));
        let default = |each_us: u64| Duration::from_secs((10_000_000 + n * each_us).div_ceil(1_000_000));
        Self {
            contribute: wanted.unwrap_or_else(|| default(40_000 + 2 * dim)),
            other: wanted.unwrap_or_else(|| default(60_000)),
        }
    }
}

/// `coordinator.toml`.
fn text(config: &SimConfig, task: &dyn Task, stages: &Stages, quic: &QuicArgs) -> String {
    let SimConfig { participants, per_round, rounds, dim, bits, committee, .. } = config;
    let mut text = format!(
        "# Written by quorate sim run --transport quic.\n[deployment]\nname = \"simulation\"\ngrace = \"1s\"\n\n\
         [keys]\nprovider = \"file\"\nunlock = \"file:../{FOLDER}.unlock\"\n\n\
         [listen]\naddress = \"127.0.0.1:0\"\nconnections = {}\n\
         idle = \"{idle}s\"\nrequest = \"{idle}s\"\nrate_window = \"{idle}s\"\nhandshake = \"{idle}s\"\n",
        participants + 64,
        idle = IDLE.as_secs(),
    );
    if let Some(staging) = quic.staging_mib {
        let _ = writeln!(text, "staging_mib = {staging}");
    }
    if let Some(places) = quic.places {
        let _ =
            writeln!(text, "places = {places}\nhandshakes = {}", places.div_ceil(4).max(FEWEST_HANDSHAKES));
    }
    let _ = write!(
        text,
        "\n[admin]\nlisten = \"127.0.0.1:0\"\n\n[enrolment]\nmax = {participants}\n\n[epoch]\nrounds = {rounds}\n\
         parties = {}\nmin_enrolled = {participants}\n",
        (*participants).min(CEREMONY)
    );
    let width = config.cohort_width();
    if width < *participants {
        let _ = writeln!(text, "cohort_width = {width}");
    }
    if config.is_named() {
        let ids: Vec<_> = (0..config.named()).map(|id| id.to_string()).collect();
        let _ = writeln!(text, "committee = \"named\"\nnamed = [{}]", ids.join(", "));
    } else {
        let _ = writeln!(text, "committee = \"drawn\"\nwidth = {}", config.panel);
    }
    let policy = config.policy(&[]);
    let seal = if config.seal == SealSuite::XWing { "xwing" } else { "x25519" };
    let _ = write!(
        text,
        "\n[policy]\ncorrupt_permille = {}\nnamed_corrupt_permille = {}\nk_min = {}\nallow_unproven = {}\n\n\
         [jobs.{JOB}]\nmode = \"{}\"\n\
         allow_plain = {}\nsuite = \"{}\"\nseal = \"{seal}\"\ndim = {dim}\nbits = {bits}\nclip = {:?}\n\
         weight_bound = {}\ncommittee = {committee}\ntarget = {per_round}\nover_selection = 0\nwanted = {per_round}\n\
         rounds = {rounds}\nmodel = \"initial.safetensors\"\n",
        policy.corrupt_permille,
        policy.named_corrupt_permille,
        policy.k_min,
        policy.allow_unproven,
        config.mode.name(),
        policy.allow_plain,
        config.suite.name(),
        task.default_clip(),
        task.max_examples(),
    );
    let (contribute, other) = (stages.contribute.as_secs(), stages.other.as_secs());
    let _ = write!(
        text,
        "\n[jobs.{JOB}.deadlines]\nconvene = \"{other}s\"\ncontribute = \"{contribute}s\"\ncheck = \"{other}s\"\n\
         lock = \"{other}s\"\nopen = \"{other}s\"\n\n[retention]\nmodels = {kept}\nresults = {kept}\n\n\
         [results]\nfolder = \"results\"\n",
        kept = rounds + 1,
    );
    text
}

/// Patience of the transport: all devices share this machine's processors, so silence is no sign of a lost one.
pub const IDLE: Duration = Duration::from_secs(120);
/// Parties of a ceremony, as in virtual time.
const CEREMONY: u32 = 3;
/// Handshakes at one time, where few places make them few.
const FEWEST_HANDSHAKES: u32 = 16;
/// For the configuration that is replaced at once.
const PLACEHOLDER: u32 = 8;
const DAY: u64 = 86_400_000;
/// Ceremony, waiting for parties that reconnect, and what comes after the last deadline.
const SLACK: Duration = Duration::from_secs(180);
