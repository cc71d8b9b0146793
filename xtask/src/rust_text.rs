//! Just enough of a Rust reader for the checks: it blanks comments and literals, finds test regions
//! and functions. Lines keep their numbers, so a finding can name one.

/// The source with comments, strings and character literals replaced by spaces.
pub fn blank(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_end(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

/// Where the comment or literal that starts at `at` ends; `at` itself if none starts there.
fn literal_end(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1).copied();
    match chars[at] {
        '/' if next == Some('/') => find(chars, at, |i| chars[i] == '\n'),
        '/' if next == Some('*') => block_comment_end(chars, at),
        '"' => string_end(chars, at + 1),
        'r' if !continues_identifier(chars, at) => raw_string_end(chars, at).unwrap_or(at),
        '\'' if next == Some('\\') => find(chars, at + 3, |i| chars[i] == '\'') + 1,
        '\'' if chars.get(at + 2) == Some(&'\'') => at + 3,
        _ => at,
    }
    .min(chars.len())
}

fn find(chars: &[char], from: usize, hit: impl Fn(usize) -> bool) -> usize {
    (from..chars.len()).find(|&i| hit(i)).unwrap_or(chars.len())
}

fn block_comment_end(chars: &[char], at: usize) -> usize {
    let mut depth = 0_u32;
    let mut i = at;
    while i < chars.len() {
        match (chars[i], chars.get(i + 1)) {
            ('/', Some('*')) => (depth, i) = (depth + 1, i + 2),
            ('*', Some('/')) if depth == 1 => return i + 2,
            ('*', Some('/')) => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
    }
    i
}

fn string_end(chars: &[char], from: usize) -> usize {
    let mut i = from;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

/// `r"…"`, `r#"…"#`, also after a `b` or `c`.
fn raw_string_end(chars: &[char], at: usize) -> Option<usize> {
    let hashes = chars[at + 1..].iter().take_while(|&&c| c == '#').count();
    let open = at + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let close = find(chars, open + 1, |i| {
        chars[i] == '"' && chars[i + 1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes
    });
    Some(close + 1 + hashes)
}

/// True if the `r` at `at` belongs to a name (`br` and `cr` are prefixes, not names).
fn continues_identifier(chars: &[char], at: usize) -> bool {
    let word = |i: usize| chars.get(i).is_some_and(|&c| c.is_alphanumeric() || c == '_');
    match at {
        0 => false,
        _ if matches!(chars[at - 1], 'b' | 'c') => at >= 2 && word(at - 2),
        _ => word(at - 1),
    }
}

/// A function with a body: name and lines, counted from 0, the last one included.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// The name.
    pub name: String,
    /// Line of the `fn`.
    pub first: usize,
    /// Line of the closing brace.
    pub last: usize,
}

impl Function {
    /// Lines from the `fn` to the closing brace.
    pub const fn lines(&self) -> usize {
        self.last - self.first + 1
    }
}

/// All functions with a body in a blanked source.
pub fn functions(blanked: &str) -> Vec<Function> {
    let chars: Vec<char> = blanked.chars().collect();
    let mut found = Vec::new();
    let mut line = 0;
    for at in 0..chars.len() {
        if chars[at] == '\n' {
            line += 1;
        }
        if let Some(name) = function_name(&chars, at)
            && let Some((open, close)) = item_end(&chars, at)
            && open < close
        {
            let below = chars[at..close].iter().filter(|&&c| c == '\n').count();
            found.push(Function { name, first: line, last: line + below });
        }
    }
    found
}

/// The name after the keyword `fn` at `at`.
fn function_name(chars: &[char], at: usize) -> Option<String> {
    let before = at == 0 || !(chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    let keyword =
        chars[at..].starts_with(&['f', 'n']) && chars.get(at + 2).is_some_and(|c| c.is_whitespace());
    if !(before && keyword) {
        return None;
    }
    let rest = chars[at + 2..].iter().skip_while(|c| c.is_whitespace());
    let name: String = rest.take_while(|c| c.is_alphanumeric() || **c == '_').collect();
    (!name.is_empty()).then_some(name)
}

/// Opening and closing brace of the item at `from`; both the same for one that ends in `;`.
fn item_end(chars: &[char], from: usize) -> Option<(usize, usize)> {
    let mut nested = 0_i32;
    let open = (from..chars.len()).find(|&i| {
        match chars[i] {
            '(' | '[' => nested += 1,
            ')' | ']' => nested -= 1,
            _ => {}
        }
        nested == 0 && matches!(chars[i], '{' | ';')
    })?;
    if chars[open] == ';' {
        return Some((open, open));
    }
    let mut depth = 0_i32;
    let close = (open..chars.len()).find(|&i| {
        match chars[i] {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        depth == 0
    })?;
    Some((open, close))
}

/// For every line of a blanked source: does it belong to a test?
pub fn test_lines(blanked: &str) -> Vec<bool> {
    let chars: Vec<char> = blanked.chars().collect();
    let mut lines = vec![false; blanked.split('\n').count()];
    let mut line = 0;
    for at in 0..chars.len() {
        if chars[at] == '\n' {
            line += 1;
        }
        if chars[at] == '#' && is_test_attribute(&chars, at) {
            let close = item_end(&chars, at).map_or(chars.len(), |(_, close)| close);
            let below = chars[at..close].iter().filter(|&&c| c == '\n').count();
            for mark in lines.iter_mut().skip(line).take(below + 1) {
                *mark = true;
            }
        }
    }
    lines
}

/// `#[test]`, `#[cfg(test)]`, `#[cfg(all(test, …))]`; not `#[cfg(not(test))]`.
fn is_test_attribute(chars: &[char], at: usize) -> bool {
    let text: String = chars[at..].iter().take_while(|&&c| c != ']').filter(|c| !c.is_whitespace()).collect();
    let cfg = text.starts_with("#[cfg(") && !text.contains("not(test");
    let named = text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "test");
    text == "#[test" || (cfg && named)
}

/// Names of the modules declared as `#[cfg(test)] mod name;`, whose files are test code.
pub fn test_modules(blanked: &str) -> Vec<String> {
    let marks = test_lines(blanked);
    let lines = blanked.lines().zip(marks).filter(|(_, test)| *test);
    lines
        .filter_map(|(line, _)| {
            let name = line.trim().strip_suffix(';')?.rsplit_once("mod ")?.1;
            Some(name.trim().to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_and_lifetimes_stay() {
        let source = "a /* { /* } */ */ b // {\n\"{\\\"\" r#\"}\"#  'x' '\\n' '{' &'a str br\"{\" var\"q\"";
        let blanked = blank(source);
        assert!(!blanked.contains(['{', '}', '"']), "{blanked}");
        assert!(blanked.contains("&'a str"));
        assert_eq!(blanked.matches('\n').count(), 1);
        assert_eq!(blanked.chars().count(), source.chars().count());
    }

    #[test]
    fn functions_are_measured_from_fn_to_brace() {
        let source =
            "trait T { fn no(&self); }\nfn yes(\n  x: [u8; { 3 }],\n) {\n  if x { y }\n}\nlet f: fn(u8) = g;";
        let found = functions(&blank(source));
        assert_eq!(found, [Function { name: "yes".into(), first: 1, last: 5 }]);
        assert_eq!(found[0].lines(), 5);
    }

    #[test]
    fn test_regions_are_found() {
        let source = "fn a() {}\n#[cfg(test)]\nmod tests {\n  fn b() {}\n}\n#[cfg(not(test))]\nfn c() {}\n#[cfg(test)]\nmod big;\nfn d() {}";
        let marks = test_lines(&blank(source));
        assert_eq!(marks, [false, true, true, true, true, false, false, true, true, false]);
        assert_eq!(test_modules(&blank(source)), ["big"]);
    }
}
