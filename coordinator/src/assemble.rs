//! From a checked configuration to everything a node is put together from.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use quorate_keys::audit::{Directory, Files as _, What};
use quorate_keys::when::{At, Time};
use quorate_protocol::epoch::MAX_PARTIES;
use thiserror::Error;

use crate::audit::{self, Audit, AuditError, Particulars};
use crate::config::{CommitteePlan, Config};
use crate::init::DEPLOYMENT;
use crate::keeper::{Keeper, KeeperError, Places, Roots};
use crate::models::{Exporter, ModelError, ModelStore};
use crate::node::Parts;
use crate::schedule::{Committee, Plan};
use crate::secrets::Secrets;
use crate::service::{Service, ServiceError};
use crate::store::{SqliteStore, StoreError};
use crate::strongroom::{Cover, Shared};

/// Why a configured coordinator cannot be put together.
#[derive(Debug, Error)]
pub enum AssembleError {
    /// Ledger or spool.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The keys.
    #[error(transparent)]
    Keeper(#[from] KeeperError),
    /// Database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database is not there.
    #[error("{} is not there: bring it back, with who is evicted and which tokens are used", .0.display())]
    NoDatabase(PathBuf),
    /// A job's model.
    #[error("the model of job {job}: {error}")]
    Model {
        /// The job.
        job: String,
        /// Why.
        error: ModelError,
    },
    /// The folder of models.
    #[error("the folder of models: {0}")]
    Models(ModelError),
}

/// Opens ledger, database and models of a configured coordinator. The key of its audit log is in the strongroom, if
/// there is one.
///
/// # Errors
/// [`AssembleError`].
pub async fn assemble(
    config: &Config,
    secrets: Secrets,
    room: &Shared,
) -> Result<Parts<SqliteStore>, AssembleError> {
    let Secrets { identity, authority, .. } = secrets;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let opened = room.lock().is_some();
    let mut keys = room.clone_or_plain(&config.key_room());
    let audit = Audit::open(&config.audit(), keys.as_mut(), authority.deployment(), now)?;
    let mut audit = audit.copied_to(&config.copies);
    if opened {
        // Kept until the log takes it, and nothing that needs a record happens before ([KL-25]).
        let reason = "the strongroom is open";
        audit.note(audit::event(now, What::Unsealed, audit::identity(), reason, Particulars::new()));
        let _ = audit.settle(now);
    }
    let places =
        Places { room: keys, roots: Roots::new(&config.roots()), deployment: *authority.deployment() };
    let at = At::new(Time(now), 0);
    let keeper = Keeper::open(audit, places, config.rotation.policy.clone(), &identity, at)?;
    // An older program did not write it down.
    if config.deployment_id().is_err() {
        Directory::new(&config.folder)
            .write(DEPLOYMENT, authority.deployment().to_hex().as_bytes())
            .map_err(AuditError::from)?;
    }
    let cover = Cover::new(room);
    let mut service = Service::open(identity, &config.ledger())?;
    service.cover(&cover);
    // Made by init only: a new one would have forgotten who is evicted.
    if !config.database().exists() {
        return Err(AssembleError::NoDatabase(config.database()));
    }
    let store = SqliteStore::open(&config.database()).await?;
    let models = ModelStore::open(&config.models(), &cover).map_err(AssembleError::Models)?;
    let mut jobs = Vec::new();
    for plan in &config.plans {
        let job = plan.job.clone();
        let model = models.job(&job.name, job.round.schema.dim, &plan.model, &job.optimiser);
        let model = model.map_err(|error| AssembleError::Model { job: job.name.clone(), error })?;
        jobs.push((job, model));
    }
    let refitting = config.clone();
    Ok(Parts {
        name: config.deployment.clone(),
        service,
        store,
        jobs,
        fit: Box::new(move |record| {
            let fitted = refitting.jobs_under(record);
            fitted.into_iter().map(|job| job.map_err(|(_, misfit)| misfit.to_string())).collect()
        }),
        results: Exporter::new(&config.results),
        retention: config.retention,
        plan: plan(config),
        authority,
        keeper: Some(keeper),
        approvers: config.rotation.approvers.clone(),
        limits: config.limits.clone(),
        allow_list: config.enrolment.allow_list,
        most_enrolled: config.enrolment.max,
        grace: config.grace,
    })
}

fn plan(config: &Config) -> Plan {
    let epoch = &config.epoch;
    let committee = match &epoch.committee {
        CommitteePlan::Drawn(width) => Committee::Drawn(*width),
        CommitteePlan::Named(Some(indices)) => Committee::Named(indices.clone()),
        CommitteePlan::Named(None) => Committee::First(config.named_by_default()),
    };
    Plan {
        committee,
        cohort_width: epoch.cohort_width,
        rounds: epoch.rounds,
        parties: u16::try_from(epoch.parties).unwrap_or(MAX_PARTIES as u16),
        restarts: config.policy.max_restarts,
        phase: epoch.patience,
        min_enrolled: epoch.min_enrolled,
        renew_on_growth: epoch.renew_on_growth,
        patience: epoch.wait,
        collective: config.collective.clone(),
    }
}
