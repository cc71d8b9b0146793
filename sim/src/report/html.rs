//! `report.html`: one self-contained page, readable on light and dark screens.
//!
//! Plots are inline SVG. There is no script, no link and nothing to load, and a content security policy in the page
//! keeps it so.

use super::compare::text;
use super::plot::{self, Frame, Series};
use super::{Comparison, Quantiles, RoundRow, Run, StageSeconds, Summary};

/// A page about one run, or several side by side.
pub fn render(runs: &[Run<'_>]) -> String {
    let title = match runs {
        [run] => format!("Quorate simulation: {}", describe(run.summary)),
        [first, ..] => format!("Quorate simulation, compared: {}", describe(first.summary)),
        [] => "Quorate simulation".to_owned(),
    };
    let title = escape(&title);
    let mut body = format!("<h1>{title}</h1>\n");
    if runs.len() > 1 {
        body += &comparison(&Comparison::of(runs));
    }
    body += &accuracy(runs);
    for run in runs {
        body += &section(run, runs.len() > 1);
    }
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
         <style>\n{STYLE}{}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n",
        plot::style()
    )
}

fn describe(s: &Summary) -> String {
    format!("{}, {} participants, {} rounds", s.task, text::count(s.participants), text::count(s.rounds))
}

/// The table of several runs.
pub fn comparison(comparison: &Comparison) -> String {
    let head: String = Comparison::TITLES.iter().map(|title| format!("<th>{title}</th>")).collect();
    let mut rows = String::new();
    for cells in comparison.cells() {
        let cells: String = cells.iter().map(|cell| format!("<td>{}</td>", escape(cell))).collect();
        rows += &format!("<tr>{cells}</tr>\n");
    }
    format!(
        "<h2>Comparison</h2>\n<div class=\"wide\"><table class=\"grid\">\n<thead><tr>{head}</tr></thead>\n\
         <tbody>\n{rows}</tbody></table></div>\n"
    )
}

fn accuracy(runs: &[Run<'_>]) -> String {
    let series: Vec<Series> = runs
        .iter()
        .map(|run| {
            let known = |row: &RoundRow| row.accuracy.map(|a| (row.round as f64, a));
            Series { label: run.label.to_owned(), points: run.rounds.iter().filter_map(known).collect() }
        })
        .collect();
    if series.iter().all(|s| s.points.is_empty()) {
        return String::new();
    }
    let frame = Frame {
        title: "Test accuracy after each round",
        axis: "accuracy",
        format: |y| format!("{:.0} %", 100.0 * y),
    };
    figure(&frame, &series, plot::lines(&frame, &series))
}

fn section(run: &Run<'_>, named: bool) -> String {
    let mut out = if named { format!("<h2>{}</h2>\n", escape(run.label)) } else { String::new() };
    out += &verdict(run.summary);
    out += &summary(run.summary);
    if run.rounds.is_empty() {
        return out + "<p>No round was run.</p>\n";
    }
    for (frame, series) in [participants(run.rounds), stages(run.rounds), traffic(run.rounds)] {
        let svg = plot::bars(&frame, &series);
        out += &figure(&frame, &series, svg);
    }
    out + &rounds(run.rounds)
}

fn participants(rounds: &[RoundRow]) -> (Frame, Vec<Series>) {
    let frame =
        Frame { title: "Participants of each round", axis: "participants", format: |y| format!("{y:.0}") };
    let series = vec![
        series("included", rounds, |row| row.included as f64),
        series("dropped", rounds, |row| row.dropped as f64),
    ];
    (frame, series)
}

fn stages(rounds: &[RoundRow]) -> (Frame, Vec<Series>) {
    let frame = Frame { title: "Virtual time by stage", axis: "seconds", format: short };
    let one = |(index, name): (usize, &&str)| {
        series(name, rounds, move |row| row.stages.values().get(index).copied().unwrap_or(f64::NAN))
    };
    (frame, StageSeconds::NAMES.iter().enumerate().map(one).collect())
}

fn traffic(rounds: &[RoundRow]) -> (Frame, Vec<Series>) {
    let frame = Frame { title: "Traffic of each round", axis: "bytes", format: short_bytes };
    let series = vec![
        series("participants' uploads", rounds, |row| row.upload_bytes as f64),
        series("members, both ways", rounds, |row| row.member_bytes as f64),
    ];
    (frame, series)
}

fn series(label: &str, rounds: &[RoundRow], value: impl Fn(&RoundRow) -> f64) -> Series {
    let points = rounds.iter().map(|row| (row.round as f64, value(row))).collect();
    Series { label: label.to_owned(), points }
}

fn figure(frame: &Frame, series: &[Series], svg: String) -> String {
    let labels: Vec<String> = series.iter().map(|s| escape(&s.label)).collect();
    let caption = format!("<figcaption>{}</figcaption>", frame.title);
    format!("<figure>\n{caption}\n{}\n{svg}\n</figure>\n", plot::legend(&labels))
}

fn verdict(s: &Summary) -> String {
    let (class, words) = match s.exact {
        true => ("good", "Exact: every opened sum equals the sum of the included inputs."),
        false => ("bad", "Not exact: at least one opened sum differs from its inputs, or none was opened."),
    };
    let mut out = format!("<p class=\"verdict {class}\">{words}</p>\n");
    if !s.notes.is_empty() {
        let items: String = s.notes.iter().map(|note| format!("<li>{}</li>", escape(note))).collect();
        out += &format!("<ul class=\"notes\">{items}</ul>\n");
    }
    out
}

fn summary(s: &Summary) -> String {
    let mut out = String::from("<div class=\"cards\">\n");
    for (name, lines) in [("Job", job(s)), ("Outcome", outcome(s)), ("Cost (CPU: median · 95 %)", cost(s))] {
        out += &format!("<table class=\"card\"><caption>{name}</caption>\n<tbody>\n");
        for (key, value) in lines {
            out += &format!("<tr><th>{key}</th><td>{}</td></tr>\n", escape(&value));
        }
        out += "</tbody></table>\n";
    }
    out + &format!("</div>\n<p class=\"trace\">Trace <code>{}</code></p>\n", escape(&s.trace_hash))
}

type Lines = Vec<(&'static str, String)>;

fn job(s: &Summary) -> Lines {
    vec![
        ("task", s.task.clone()),
        ("mode · suite", pair(s.mode.clone(), s.suite.clone())),
        ("parameters · bits", pair(text::count(s.dim), s.bits.to_string())),
        ("participants · a round", pair(text::count(s.participants), text::count(s.per_round))),
        ("committee", text::count(s.committee)),
        ("drop-out", text::percent(Some(s.dropout))),
        ("seed", s.seed.clone()),
    ]
}

fn outcome(s: &Summary) -> Lines {
    vec![
        ("rounds · aborted", pair(text::count(s.rounds), text::count(s.aborted_rounds))),
        ("accuracy · best", pair(text::percent(s.accuracy), text::percent(s.best_accuracy))),
        ("included · dropped", pair(text::count(s.included), text::count(s.dropped))),
        ("complaints", text::count(s.complaints)),
        ("clipped coordinates", text::count(s.clipped)),
        ("error of the mean", text::scientific(s.max_mean_error)),
        ("its bound", text::scientific(s.mean_error_bound)),
    ]
}

fn cost(s: &Summary) -> Lines {
    // The median bears no unit: the second value's stands for both.
    let both = |q: Quantiles| pair(text::milliseconds(q.p50).replace(" ms", ""), text::milliseconds(q.p95));
    let memory = if s.peak_rss_bytes == 0 { "–".to_owned() } else { text::bytes(s.peak_rss_bytes) };
    vec![
        ("time · virtual time", pair(text::seconds(s.wall_s), text::seconds(s.virtual_s))),
        ("participant CPU", both(s.participant_cpu_ms)),
        ("member CPU", both(s.member_cpu_ms)),
        ("coordinator CPU, each", text::milliseconds(s.coordinator_cpu_ms_per_contribution)),
        ("unmasking", text::milliseconds(s.unmask_ms)),
        ("upload", text::bytes(s.upload_bytes)),
        ("member down · up", pair(text::bytes(s.member_download_bytes), text::bytes(s.member_upload_bytes))),
        ("peak memory", memory),
    ]
}

/// Two values that may be parted only at the dot.
fn pair(first: String, second: String) -> String {
    [first, second].map(|value| value.replace(' ', "\u{a0}")).join(" · ")
}

fn rounds(rounds: &[RoundRow]) -> String {
    let titles = [
        "round",
        "asked",
        "included",
        "dropped",
        "complaints",
        "accuracy",
        "wall",
        "virtual",
        "uploads",
        "members",
        "error of the mean",
        "aborted",
    ];
    let head: String = titles.iter().map(|title| format!("<th>{title}</th>")).collect();
    let mut lines = String::new();
    for row in rounds.iter().take(MAX_ROWS) {
        let cells = [
            row.round.to_string(),
            text::count(row.sampled),
            text::count(row.included),
            text::count(row.dropped),
            text::count(row.complaints),
            text::percent(row.accuracy),
            text::seconds(row.wall_s),
            text::seconds(row.stages.total()),
            text::bytes(row.upload_bytes),
            text::bytes(row.member_bytes),
            text::scientific(row.max_mean_error),
            escape(row.aborted.as_deref().unwrap_or("")),
        ];
        lines += &format!("<tr>{}</tr>\n", cells.map(|cell| format!("<td>{cell}</td>")).concat());
    }
    if rounds.len() > MAX_ROWS {
        lines += &format!(
            "<tr><td colspan=\"12\">the rest is in metrics.csv, {} rounds in all</td></tr>\n",
            rounds.len()
        );
    }
    format!(
        "<details><summary>All rounds</summary>\n<div class=\"wide\"><table class=\"grid\">\n\
         <thead><tr>{head}</tr></thead>\n<tbody>\n{lines}</tbody></table></div></details>\n"
    )
}

/// Seconds on an axis.
fn short(y: f64) -> String {
    match y.abs() {
        0.0 => "0".to_owned(),
        a if a < 0.1 => format!("{y:.3}"),
        a if a < 10.0 => format!("{y:.1}"),
        _ => format!("{y:.0}"),
    }
}

/// Bytes on an axis.
fn short_bytes(y: f64) -> String {
    let (unit, name) = match y {
        y if y < 1e3 => (1.0, "B"),
        y if y < 1e6 => (1e3, "kB"),
        y if y < 1e9 => (1e6, "MB"),
        _ => (1e9, "GB"),
    };
    format!("{} {name}", (y / unit * 100.0).round() / 100.0)
}

/// Text as HTML.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Rounds shown in the table.
const MAX_ROWS: usize = 1_000;

const STYLE: &str = include_str!("report.css");
