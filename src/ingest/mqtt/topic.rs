//! MQTT topic filters (MQTT 3.1.1, section 4.7). Imports nothing from the crate.

/// The most bytes that a topic can have (MQTT 3.1.1, section 1.5.3).
const TOPIC_BYTES: usize = 65_535;

/// Whether `filter` can be subscribed to.
///
/// # Errors
/// Says what is wrong with it and what to do.
pub(super) fn check(filter: &str) -> Result<(), &'static str> {
    if filter.is_empty() {
        return Err("it is empty");
    }
    if filter.len() > TOPIC_BYTES {
        return Err("it is longer than 65535 bytes");
    }
    if filter.contains('\0') {
        return Err("it holds a null character");
    }
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        if level.contains(['+', '#']) && level.len() > 1 {
            return Err("+ and # must stand alone between slashes");
        }
        if level == "#" && levels.peek().is_some() {
            return Err("# can only be the last level");
        }
    }
    Ok(())
}

/// Whether a message on `topic` is one of those that the (checked) `filter` asks for.
///
/// rumqttc's own function panics on a topic that starts with a character beyond ASCII and never
/// matches `$SYS/...`.
pub(super) fn matches(filter: &str, topic: &str) -> bool {
    // Wildcards at the first level do not reach the broker's own topics.
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        if wanted == "#" {
            return true;
        }
        match levels.next() {
            Some(level) if wanted == "+" || wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

/// Whether `filter` names more than one topic.
pub(super) fn has_wildcard(filter: &str) -> bool {
    filter.contains(['+', '#'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn filters_are_checked() {
        for filter in [
            "a",
            "a b/c",
            "/",
            "a//b",
            "+",
            "#",
            "+/a/#",
            "/+",
            "größe/#",
            "$SYS/#",
        ] {
            assert_eq!(check(filter), Ok(()), "{filter}");
        }
        for filter in [
            "",
            "a#",
            "a/b+",
            "#/a",
            "a/#/b",
            "++",
            "a\0",
            &"a".repeat(65_536),
        ] {
            assert!(check(filter).is_err(), "{filter}");
        }
    }

    #[test]
    fn topics_are_matched_as_the_standard_says() {
        // The examples of MQTT 3.1.1, section 4.7.
        for (filter, topic, expected) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            (
                "sport/tennis/player1/#",
                "sport/tennis/player1/ranking",
                true,
            ),
            (
                "sport/tennis/player1/#",
                "sport/tennis/player1/score/wimbledon",
                true,
            ),
            ("sport/#", "sport", true),
            ("#", "a/b/c", true),
            ("sport/tennis/+", "sport/tennis/player1", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/uptime", false),
            ("+/uptime", "$SYS/uptime", false),
            ("$SYS/#", "$SYS/uptime", true),
            ("$SYS/uptime", "$SYS/uptime", true),
            ("a b/c", "a b/c", true),
            ("a/b", "a/B", false),
            ("a/b", "a/b/", false),
            ("größe/+", "größe/tank", true),
            ("+/tank", "größe/tank", true),
        ] {
            assert_eq!(matches(filter, topic), expected, "{filter} {topic}");
        }
    }

    proptest! {
        #[test]
        fn a_topic_matches_itself_and_everything(topic in "[a-cä/]{1,10}") {
            prop_assert!(check(&topic).is_ok());
            prop_assert!(matches(&topic, &topic));
            prop_assert!(matches("#", &topic));
            let deeper = format!("{topic}/x");
            let filter = format!("{topic}/+");
            prop_assert!(matches(&filter, &deeper));
        }

        #[test]
        fn any_text_is_matched_without_panic(filter in ".{0,10}", topic in ".{0,10}") {
            let _ = (check(&filter), matches(&filter, &topic));
        }
    }
}
