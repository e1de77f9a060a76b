//! What a text must look like to be a topic, a host, a zone or a name. Imports `suggest`, `modbus` and
//! `endpoint`.
//!
//! Each rule returns what is wrong with the text, worded to follow the text in quotes.

use super::endpoint::Endpoint;
use super::modbus;
use super::suggest::nearest;

/// A rule for the text of a key.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// With its article, as in "expected an MQTT topic".
    pub what: &'static str,
    pub check: fn(&str) -> Result<(), String>,
}

/// What people call the plant; goes into alarms.
pub const LABEL: Rule = Rule {
    what: "a text",
    check: |text| match text {
        "" => Err("is empty; write a name or leave the key out".into()),
        _ if text.len() > 64 => Err("is longer than 64 bytes".into()),
        _ if text.chars().any(char::is_control) => {
            Err("contains a control character; keep to one line of plain text".into())
        }
        _ => Ok(()),
    },
};

/// The name of a source: thread names (`in-` and the name) have 15 bytes.
pub const SOURCE_NAME: Rule = Rule {
    what: "a short name",
    check: |text| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if (1..=12).contains(&text.len()) && text.bytes().all(plain) {
            Ok(())
        } else {
            Err("is not a source's name; use 1 to 12 of the characters a-z A-Z 0-9 - _".into())
        }
    },
};

/// Any text but an empty one.
pub const FILLED: Rule = Rule {
    what: "a text",
    check: |text| {
        if text.is_empty() {
            Err("is empty; write a value or leave the key out".into())
        } else {
            Ok(())
        }
    },
};

/// A host name or address without scheme and port.
pub const HOST: Rule = Rule {
    what: "a host name or address",
    check: |text| {
        if let Some((scheme, _)) = text.split_once("://") {
            let tls = matches!(scheme, "mqtts" | "ssl" | "tls" | "wss");
            let more = if tls { " and set tls = true" } else { "" };
            return Err(format!(
                "is a URL; write the host name alone, without {scheme}://{more}"
            ));
        }
        if text.parse::<std::net::Ipv6Addr>().is_ok() {
            return Ok(());
        }
        if text.contains(':') {
            return Err("contains a colon; a port goes into the key `port`".into());
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if (1..=253).contains(&text.len()) && text.chars().all(fits) {
            Ok(())
        } else {
            Err("is not a host name; write one like \"broker.local\" or \"192.168.1.10\"".into())
        }
    },
};

/// A collector's address.
pub const ENDPOINT: Rule = Rule {
    what: "an http:// or https:// address",
    check: |text| Endpoint::read(text).map(|_| ()),
};

/// An MQTT topic filter (MQTT 3.1.1, section 4.7): `+` stands alone in its level, `#` at the end.
pub const TOPIC: Rule = Rule {
    what: "an MQTT topic",
    check: |text| {
        if text.is_empty() {
            return Err("is empty; write the topic the sensor's value comes on".into());
        }
        if text.len() > usize::from(u16::MAX) || text.contains('\0') {
            return Err("is not an MQTT topic: longer than 65535 bytes or with a NUL".into());
        }
        let mut levels = text.split('/').peekable();
        while let Some(level) = levels.next() {
            let last = levels.peek().is_none();
            if level.contains('#') && !(level == "#" && last) {
                return Err("has a # that is not the whole last level, as in \"plant/#\"".into());
            }
            if level.contains('+') && level != "+" {
                return Err("has a + that is not a whole level, as in \"plant/+/level\"".into());
            }
        }
        Ok(())
    },
};

/// What topics to publish on begin with: one level or several, without wildcards.
pub const TOPIC_PART: Rule = Rule {
    what: "the beginning of an MQTT topic",
    check: |text| {
        if text.split('/').all(is_topic_level) && text.len() <= 128 {
            Ok(())
        } else {
            Err(
                "cannot begin a topic; write one or more words with / between them, without + # $"
                    .into(),
            )
        }
    },
};

/// One level of a topic to publish on. Home Assistant takes no other characters in its topics.
pub const TOPIC_LEVEL: Rule = Rule {
    what: "a name for topics",
    check: |text| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if (1..=64).contains(&text.len()) && text.bytes().all(plain) {
            Ok(())
        } else {
            Err("is not a name for topics; use 1 to 64 of the characters a-z A-Z 0-9 - _".into())
        }
    },
};

fn is_topic_level(level: &str) -> bool {
    let wrong = |c: char| matches!(c, '+' | '#' | '$') || c.is_control();
    !level.is_empty() && !level.contains(wrong)
}

/// Where a value stands in a JSON payload: `tank.level`, `values[2].v`, `["a key"].v`; `$.` may
/// stand before it, as in JSONPath. The grammar is that of `ingest::json`.
pub const JSON_PATH: Rule = Rule {
    what: "a path into JSON",
    check: |text| {
        if is_json_path(text).is_some() {
            Ok(())
        } else {
            Err(
                "is not a path into JSON; write one like \"level\", \"tank.level\" or \
                 \"values[2].v\""
                    .into(),
            )
        }
    },
};

fn is_json_path(text: &str) -> Option<()> {
    let after = text.strip_prefix('$');
    let mut rest = match after.filter(|after| after.starts_with(['.', '['])) {
        Some(after) => after.strip_prefix('.').unwrap_or(after),
        None => text,
    };
    let mut first = true;
    loop {
        if !(first && rest.starts_with('[')) {
            let end = rest.find(['.', '[', ']']).unwrap_or(rest.len());
            if end == 0 {
                return None;
            }
            rest = &rest[end..];
        }
        first = false;
        while let Some(inner) = rest.strip_prefix('[') {
            let quote = inner.chars().next().filter(|c| matches!(c, '"' | '\''));
            rest = if let Some(quote) = quote {
                let (_, after) = inner[1..].split_once(quote)?;
                after.strip_prefix(']')?
            } else {
                let (index, after) = inner.split_once(']')?;
                let digits = index.bytes().all(|byte| byte.is_ascii_digit());
                let _: usize = index.parse().ok().filter(|_| digits)?;
                after
            };
        }
        match rest.strip_prefix('.') {
            Some(after) => rest = after,
            None => return rest.is_empty().then_some(()),
        }
    }
}

/// A Modbus register, counted from 0 (`holding 100`) or as manuals number it (`40101`).
pub const REGISTER: Rule = Rule {
    what: "a register",
    check: |text| modbus::register(text).map(|_| ()),
};

/// What a Modbus register holds.
pub const REGISTER_TYPE: Rule = Rule {
    what: "a type",
    check: |text| modbus::register_type(text).map(|_| ()),
};

/// Standard input, or the Unix socket that is made and listened on.
pub const LISTEN: Rule = Rule {
    what: "\"stdin\" or a path",
    check: |text| {
        if text == "stdin" {
            Ok(())
        } else if !text.starts_with('/') {
            Err("is neither \"stdin\" nor the full path of a Unix socket, \
                 like \"/run/anomalyd/ingest.sock\""
                .into())
        } else if text.len() > 107 || text.contains('\0') {
            Err("is too long for a Unix socket: Linux allows 107 bytes".into())
        } else {
            Ok(())
        }
    },
};

/// Address and port to listen on.
pub const ADDRESS: Rule = Rule {
    what: "an address and port",
    check: |text| match text.parse::<std::net::SocketAddr>() {
        Ok(_) => Ok(()),
        Err(_) => Err(
            "is not an address and port; write one like \"0.0.0.0:8080\", \"127.0.0.1:8080\" or \
             \"[::]:8080\""
                .into(),
        ),
    },
};

/// Host names with spaces between them.
pub const HOSTS: Rule = Rule {
    what: "host names",
    check: |text| {
        if text.split_whitespace().next().is_none() {
            return Err("is empty; write a name or leave the key out".into());
        }
        match text
            .split_whitespace()
            .find_map(|one| (HOST.check)(one).err())
        {
            Some(why) => Err(why),
            None => Ok(()),
        }
    },
};

/// A name of the time zone database.
pub const ZONE: Rule = Rule {
    what: "a time zone",
    check: |text| {
        if text == "UTC" || jiff::tz::TimeZone::get(text).is_ok() {
            return Ok(());
        }
        let names: Vec<String> = jiff::tz::db()
            .available()
            .map(|name| name.to_string())
            .collect();
        Err(match nearest(text, names.iter().map(String::as_str)) {
            Some(name) => format!("is not a time zone; did you mean \"{name}\"?"),
            None if names.is_empty() => {
                "cannot be looked up: this system has no time zone database; install tzdata or \
                 use \"UTC\""
                    .into()
            }
            None => "is not a time zone; write one like \"UTC\" or \"Europe/Berlin\"".into(),
        })
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    fn all(rule: Rule, good: &[&str], bad: &[&str]) {
        for text in good {
            assert_eq!((rule.check)(text), Ok(()), "{text:?}");
        }
        for text in bad {
            assert!((rule.check)(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn topics_follow_the_standard() {
        let good = ["a", "/", "plant/tank 1/level", "+/a/+", "a/#", "#", "+"];
        all(TOPIC, &good, &["", "a#", "a/#/b", "a/b+", "a\0"]);
    }

    #[test]
    fn json_paths_have_no_empty_parts() {
        let good = [
            "a",
            "a.b",
            "a[0][12].b",
            "[3].x",
            "POWER 1",
            "$.a.b",
            "$[2].b",
            "$price",
            "[\"a.b\"].c",
            "x['y z'][0]",
            "params.switch:0.apower",
        ];
        let bad = [
            "", ".", ".a", "a.", "a..b", "a[", "a[]", "a[x]", "a[0]b", "a[+1]", "a.[0]", "a]b",
            "$.", "a['x]",
        ];
        all(JSON_PATH, &good, &bad);
    }

    #[test]
    fn hosts_have_no_scheme_and_no_port() {
        let good = ["localhost", "10.0.0.1", "my-broker.lan", "::1", "fe80::1"];
        let bad = ["", "mqtt://a", "a:1883", "a b", "tank/1"];
        all(HOST, &good, &bad);
        assert!((HOST.check)("mqtts://a").is_err_and(|why| why.contains("tls = true")));
    }

    #[test]
    fn names_and_sockets_have_limits() {
        all(
            SOURCE_NAME,
            &["mqtt", "line-2"],
            &["", "a b", "thirteen-char"],
        );
        all(LABEL, &["Plant 1", "Süd"], &["", "a\nb", &"x".repeat(65)]);
        let long = format!("/{}", "x".repeat(107));
        all(LISTEN, &["stdin", "/run/a.sock"], &["", "a.sock", &long]);
        all(FILLED, &["x"], &[""]);
    }

    #[test]
    fn addresses_have_a_port() {
        let good = ["0.0.0.0:8080", "127.0.0.1:0", "[::1]:80"];
        all(ADDRESS, &good, &["", "8080", "localhost:8080", "1.2.3.4"]);
        let bad = ["", "  ", "http://pi", "pi:8080"];
        all(HOSTS, &["pi.example.org", "pi  10.0.0.1"], &bad);
    }

    #[test]
    fn utc_needs_no_database_and_a_typing_mistake_gets_a_suggestion() {
        all(ZONE, &["UTC"], &["Mars/Olympus", ""]);
        if jiff::tz::TimeZone::get("Europe/Berlin").is_ok() {
            let why = (ZONE.check)("Europe/Berln").unwrap_err();
            assert!(why.contains("\"Europe/Berlin\""), "{why}");
        }
    }
}
