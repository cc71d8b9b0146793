//! The log of a service: on standard error, for people on a terminal and as one JSON object a line elsewhere.

use std::io::{self, IsTerminal as _};

use clap::{Args, ValueEnum};
use quorate_coordinator::config::{self, LogConfig};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::{EnvFilter, fmt};

use crate::error::Failure;

/// Options of commands that run a service.
#[derive(Args, Clone, Debug)]
pub struct LogArgs {
    /// Form of the log
    #[arg(long, value_enum, value_name = "FORM", default_value = "auto")]
    log_format: LogFormat,
    /// What is logged: error, warn, info, debug, trace, or a filter by module [env: QUORATE_LOG] [default: info]
    #[arg(long, value_name = "FILTER")]
    log_level: Option<String>,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// For people if standard error is a terminal, else JSON
    Auto,
    /// For people
    Human,
    /// One JSON object a line
    Json,
}

/// Variable with the filter, if no option says otherwise.
const FILTER: &str = "QUORATE_LOG";

impl LogArgs {
    /// Begins to log to standard error; once in a process. What no option says, the configuration does.
    pub fn init(&self, config: &LogConfig) -> Result<(), Failure> {
        let terminal = io::stderr().is_terminal();
        let words = self.log_level.clone().or_else(|| std::env::var(FILTER).ok());
        let words = words.unwrap_or_else(|| config.level.clone());
        let form = match config.format {
            _ if self.log_format != LogFormat::Auto => self.log_format,
            config::LogFormat::Auto => LogFormat::Auto,
            config::LogFormat::Human => LogFormat::Human,
            config::LogFormat::Json => LogFormat::Json,
        };
        let subscriber =
            Self { log_format: form, log_level: None }.build(Some(&words), terminal, io::stderr)?;
        tracing::subscriber::set_global_default(subscriber).map_err(Failure::usage)
    }

    fn build<W>(
        &self,
        words: Option<&str>,
        terminal: bool,
        writer: W,
    ) -> Result<Box<dyn tracing::Subscriber + Send + Sync>, Failure>
    where
        W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
    {
        let words = words.filter(|words| !words.trim().is_empty()).unwrap_or("info");
        let filter = EnvFilter::try_new(words).map_err(|_| {
            Failure::usage(format!(
                "the log filter {words:?} is not possible: choose error, warn, info, debug or trace, or for \
                 instance warn,quorate_coordinator=debug (--log-level, {FILTER})"
            ))
        })?;
        let log = fmt().with_env_filter(filter).with_writer(writer).with_ansi(terminal);
        Ok(match self.log_format {
            LogFormat::Human => Box::new(log.finish()),
            LogFormat::Auto if terminal => Box::new(log.finish()),
            LogFormat::Auto | LogFormat::Json => Box::new(log.json().flatten_event(true).finish()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(log_format: LogFormat, words: Option<&str>, terminal: bool) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let args = LogArgs { log_format, log_level: None };
        let subscriber = args.build(words, terminal, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            quorate_coordinator::events::enrolled(7);
            quorate_coordinator::events::connected(7);
        });
        String::from_utf8(std::mem::take(&mut kept.0.lock().unwrap())).unwrap()
    }

    #[test]
    fn json_is_one_object_a_line() {
        for text in
            [logged(LogFormat::Json, Some("debug"), true), logged(LogFormat::Auto, Some("debug"), false)]
        {
            let lines: Vec<serde_json::Value> =
                text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let names: Vec<_> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
            assert_eq!(names, ["enrolled", "connected"]);
            assert_eq!(lines[0]["index"], 7);
        }
    }

    #[test]
    fn people_get_text_and_colours_only_on_a_terminal() {
        let text = logged(LogFormat::Auto, None, true);
        assert!(text.contains("party enrolled") && text.contains('\x1b') && !text.contains('{'), "{text}");
        assert!(!logged(LogFormat::Human, None, false).contains('\x1b'));
        assert_eq!(text.lines().count(), 1, "info is the default");
    }

    #[test]
    fn the_filter_filters_and_a_wrong_one_is_refused() {
        assert_eq!(logged(LogFormat::Json, Some("warn"), false), "");
        assert_eq!(logged(LogFormat::Json, Some("error,quorate_coordinator=info"), false).lines().count(), 1);
        assert_eq!(logged(LogFormat::Json, Some(" "), false).lines().count(), 1);
        let args = LogArgs { log_format: LogFormat::Json, log_level: None };
        assert!(args.build(Some("loud=very"), false, io::sink).is_err());
    }
}
