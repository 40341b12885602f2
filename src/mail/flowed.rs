//! `format=flowed` (RFC 3676): lines that were broken for the way only are joined again, each within its level of quotation.

/// The space at a soft line end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SoftSpace {
    Kept,
    /// `delsp=yes`
    Deleted,
}

/// Joined text. Quoted lines keep one `>` a level and a blank behind them.
pub(super) fn unwrap(text: &str, space: SoftSpace) -> String {
    let mut out = String::with_capacity(text.len());
    let mut open: Option<usize> = None;
    for line in text.lines() {
        let content = line.trim_start_matches('>');
        let level = line.len() - content.len();
        let content = content.strip_prefix(' ').unwrap_or(content);
        let is_signature = content == "-- ";
        if open == Some(level) && !is_signature {
            if space == SoftSpace::Deleted {
                out.pop();
            }
        } else {
            if !out.is_empty() || open.is_some() {
                end_line(&mut out);
            }
            out.extend(std::iter::repeat_n('>', level));
            if level > 0 && !content.is_empty() {
                out.push(' ');
            }
        }
        out.push_str(content);
        let is_soft = content.ends_with(' ') && !is_signature;
        open = is_soft.then_some(level);
        if !is_soft {
            out.push('\n');
        }
    }
    out
}

/// Ends a line that hoped for another.
fn end_line(out: &mut String) {
    if !out.ends_with('\n') {
        out.truncate(out.trim_end_matches(' ').len());
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_lines_are_joined_within_their_level() {
        for (text, space, expected) in [
            ("Jalan \nrusak\nsekali", SoftSpace::Kept, "Jalan rusak\nsekali\n"),
            ("Ja \nlan", SoftSpace::Deleted, "Jalan\n"),
            ("> satu \n> dua\n>> tiga \n> empat", SoftSpace::Kept, "> satu dua\n>> tiga\n> empat\n"),
            (" From sini\n-- \nBudi", SoftSpace::Kept, "From sini\n-- \nBudi\n"),
            ("akhir \n-- \nBudi", SoftSpace::Kept, "akhir\n-- \nBudi\n"),
            ("\n\nhalo", SoftSpace::Kept, "\n\nhalo\n"),
            ("> \n> satu", SoftSpace::Kept, ">\n> satu\n"),
            ("", SoftSpace::Kept, ""),
        ] {
            assert_eq!(unwrap(text, space), expected, "{text:?}");
        }
    }
}
