//! Invitations (RFC 5545, 5546) as a few lines of text: what, when, where, who asks.

/// Lines that are looked at.
const LINES: usize = 20_000;
/// Letters of one value that are kept.
const VALUE: usize = 10_000;

#[derive(Default)]
struct Event {
    method: Option<String>,
    summary: Option<String>,
    start: Option<String>,
    end: Option<String>,
    place: Option<String>,
    organiser: Option<String>,
    description: Option<String>,
}

/// The first event of a calendar, readable. Empty if there is none.
pub(super) fn text(calendar: &str) -> String {
    let event = read(calendar);
    let line = |label: &str, value: Option<String>| value.map(|value| format!("{label}: {value}"));
    let heading = match (event.summary, event.method) {
        (Some(summary), Some(method)) => Some(format!("{summary} ({method})")),
        (summary, method) => summary.or(method),
    };
    let time = match (event.start, event.end) {
        (Some(start), Some(end)) => Some(format!("{start} - {end}")),
        (start, end) => start.or(end),
    };
    let lines = [
        heading,
        line("Time", time),
        line("Place", event.place),
        line("Organiser", event.organiser),
        event.description.map(|description| format!("\n{description}")),
    ];
    lines.into_iter().flatten().collect::<Vec<_>>().join("\n").trim().to_owned()
}

fn read(calendar: &str) -> Event {
    let mut event = Event::default();
    let (mut inside, mut nested) = (false, 0_usize);
    for line in unfolded(calendar) {
        let Some((name, parameters, value)) = property(&line) else { continue };
        match (name.as_str(), value) {
            ("BEGIN", "VEVENT" | "VTODO" | "VJOURNAL") if !inside => inside = true,
            ("BEGIN", _) if inside => nested += 1,
            ("END", _) if nested > 0 => nested -= 1,
            ("END", _) if inside => break,
            ("METHOD", method) => event.method = some(method),
            // Alarms have descriptions of their own.
            _ if !inside || nested > 0 => {}
            ("SUMMARY", value) => event.summary = some(value),
            ("DTSTART", value) => event.start = Some(time(value, parameters)),
            ("DTEND" | "DUE", value) => event.end = Some(time(value, parameters)),
            ("LOCATION", value) => event.place = some(value),
            ("DESCRIPTION", value) => event.description = some(value),
            ("ORGANIZER", value) => event.organiser = organiser(value, parameters),
            _ => {}
        }
    }
    event
}

/// Lines with those that continue them (RFC 5545, section 3.1).
fn unfolded(calendar: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in calendar.lines().take(LINES) {
        match (line.strip_prefix([' ', '\t']), lines.last_mut()) {
            (Some(more), Some(last)) => last.push_str(more),
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

/// Name, parameters and value; a colon within quotes is no end of the name.
fn property(line: &str) -> Option<(String, &str, &str)> {
    let mut is_quoted = false;
    let colon = line.bytes().position(|byte| {
        is_quoted ^= byte == b'"';
        byte == b':' && !is_quoted
    })?;
    let (name, value) = (line.get(..colon)?, line.get(colon + 1..)?);
    let (name, parameters) = name.split_once(';').unwrap_or((name, ""));
    Some((name.trim().to_ascii_uppercase(), parameters, value.trim()))
}

fn some(value: &str) -> Option<String> {
    let mut out = String::with_capacity(value.len().min(VALUE));
    let mut letters = value.chars();
    while let Some(letter) = letters.next().filter(|_| out.len() < VALUE) {
        match letter {
            '\\' => match letters.next() {
                Some('n' | 'N') => out.push('\n'),
                Some(other) => out.push(other),
                None => {}
            },
            letter => out.push(letter),
        }
    }
    Some(out.trim().to_owned()).filter(|text| !text.is_empty())
}

/// `20251105T090000` as `2025-11-05 09:00`, with the zone as it is named.
fn time(value: &str, parameters: &str) -> String {
    let digits =
        |range: std::ops::Range<usize>| value.get(range).filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    let Some(((year, month), day)) = digits(0..4).zip(digits(4..6)).zip(digits(6..8)) else {
        return value.chars().take(40).collect();
    };
    let date = format!("{year}-{month}-{day}");
    let Some((hour, minute)) = digits(9..11).zip(digits(11..13)) else { return date };
    let zone = parameter(parameters, "TZID").map(|zone| format!(" {zone}"));
    let zone = if value.ends_with('Z') { " UTC".to_owned() } else { zone.unwrap_or_default() };
    format!("{date} {hour}:{minute}{zone}")
}

fn parameter<'x>(parameters: &'x str, name: &str) -> Option<&'x str> {
    let mut pairs = parameters.split(';').filter_map(|pair| pair.split_once('='));
    pairs.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim_matches('"'))
}

fn organiser(value: &str, parameters: &str) -> Option<String> {
    let is_mailto = value.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("mailto:"));
    let address = if is_mailto { value.get(7..)? } else { value };
    match parameter(parameters, "CN") {
        Some(name) if name != address => Some(format!("{name} <{address}>")),
        _ => some(address),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_invitation_is_readable() {
        let calendar = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VTIMEZONE\r\nDTSTART:16010101T000000\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT\r\n\
            SUMMARY;LANGUAGE=id:Rapat war\r\n ga\\, RT 1\r\nDTSTART;TZID=\"Asia/Jakarta\":20251105T090000\r\nDTEND:20251105T030000Z\r\n\
            LOCATION:Balai desa\r\nORGANIZER;CN=\"Budi: RT\":mailto:budi@example.org\r\nDESCRIPTION:Satu\\nDua\r\n\
            BEGIN:VALARM\r\nDESCRIPTION:REMINDER\r\nEND:VALARM\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
        assert_eq!(
            text(calendar),
            "Rapat warga, RT 1 (REQUEST)\nTime: 2025-11-05 09:00 Asia/Jakarta - 2025-11-05 03:00 UTC\nPlace: Balai desa\n\
             Organiser: Budi: RT <budi@example.org>\n\nSatu\nDua"
        );
        assert_eq!(text("BEGIN:VEVENT\nDTSTART;VALUE=DATE:20251105"), "Time: 2025-11-05");
        assert_eq!(text("bukan kalender"), "");
    }

    proptest! {
        #[test]
        fn any_calendar_is_text(calendar in "((BEGIN|END|DTSTART|ORGANIZER;CN=|SUMMARY)?[:;]?(VEVENT|mailto:|\\\\|\"|[0-9TZ]{0,16}|\\PC)\r?\n? ?){0,20}") {
            text(&calendar);
        }
    }
}
