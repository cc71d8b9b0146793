//! `metrics.csv`: one line a round, RFC 4180, lines end with a line feed.
//!
//! A value that is unknown or not finite is an empty field; accuracies are fractions, times seconds.

use super::summary::{RoundRow, StageSeconds};

/// Columns before and after the stages.
const FIRST: &str = "round,sampled,included,dropped,complaints,aborted,accuracy,wall_s";
const LAST: &str = "upload_bytes,member_bytes,max_mean_error";

/// The file.
pub fn metrics(rounds: &[RoundRow]) -> String {
    let stages = StageSeconds::NAMES.map(|name| format!("{name}_s")).join(",");
    let mut text = format!("{FIRST},{stages},{LAST}\n");
    for row in rounds {
        let mut fields: Vec<String> =
            [row.round, row.sampled, row.included, row.dropped, row.complaints].map(|n| n.to_string()).into();
        fields.push(row.aborted.as_deref().map(quoted).unwrap_or_default());
        fields.push(number(row.accuracy));
        fields.push(number(Some(row.wall_s)));
        fields.extend(row.stages.values().map(|seconds| number(Some(seconds))));
        fields.extend([row.upload_bytes, row.member_bytes].map(|n| n.to_string()));
        fields.push(number(row.max_mean_error));
        text += &fields.join(",");
        text.push('\n');
    }
    text
}

/// The shortest decimal that reads back as the same number.
fn number(value: Option<f64>) -> String {
    value.filter(|x| x.is_finite()).map(|x| format!("{x:?}")).unwrap_or_default()
}

/// Always in quotes, on one line; a leading character that a spreadsheet takes for a formula gets a space before it.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    if text.starts_with(['=', '+', '-', '@']) {
        out.push(' ');
    }
    for c in text.chars() {
        match c {
            '"' => out.push_str("\"\""),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
