//! Options of a run over QUIC.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use quorate_coordinator::config::parse_duration;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TransportName {
    /// One process, virtual time, everything repeatable
    #[default]
    Virtual,
    /// A coordinator process and real participants over loopback, on real disks and clocks
    Quic,
}

/// What belongs to the transport.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Transport")]
pub struct QuicArgs {
    /// How messages travel
    #[arg(long, value_enum, default_value = "virtual")]
    transport: TransportName,
    /// QUIC: where the devices' folders are made [default: the run folder]
    #[arg(long, value_name = "FOLDER")]
    pub devices: Option<PathBuf>,
    /// QUIC: keep the devices' folders; they hold keys
    #[arg(long)]
    pub keep_devices: bool,
    /// QUIC: length of each stage of a round, as 30s, 2m; rounds with drop-outs wait for it [default: by size]
    #[arg(long, value_name = "TIME", value_parser = patience)]
    pub patience: Option<Duration>,
    /// QUIC: participants connected at one time, besides committees; more take turns [default: 2048]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub places: Option<u32>,
    /// QUIC: unfinished uploads that the coordinator holds in memory, MiB [default: 256]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub staging_mib: Option<u32>,
}

impl QuicArgs {
    /// Whether the run is one over QUIC; what belongs to that alone is refused elsewhere.
    pub fn is_quic(&self) -> Result<bool, String> {
        let given = [
            ("--devices", self.devices.is_some()),
            ("--keep-devices", self.keep_devices),
            ("--patience", self.patience.is_some()),
            ("--places", self.places.is_some()),
            ("--staging-mib", self.staging_mib.is_some()),
        ];
        let quic = self.transport == TransportName::Quic;
        match given.iter().find(|(_, given)| *given && !quic) {
            Some((name, _)) => Err(format!("{name} belongs to --transport quic")),
            None => Ok(quic),
        }
    }
}

fn patience(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text).filter(|time| (1..=86_400).contains(&time.as_secs()));
    time.ok_or_else(|| "expected a time from 1s to 1d, as 30s, 2m".to_owned())
}
