use proptest::prelude::*;

use super::*;

fn lines(bad: BadValues) -> CsvLines {
    let options = CsvOptions {
        bad,
        ..CsvOptions::default()
    };
    CsvLines::new(Path::new("normal.csv"), options)
}

/// All rows and errors of `text`, fed in pieces of `piece` bytes.
fn read(text: &[u8], bad: BadValues, piece: usize) -> (Vec<(i64, Vec<f64>)>, Vec<String>) {
    let mut lines = lines(bad);
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    let mut values = Vec::new();
    let mut drain = |lines: &mut CsvLines| {
        loop {
            match lines.next_row(&mut values) {
                Ok(Some(time)) => rows.push((time.nanos() / 1_000_000_000, values.clone())),
                Ok(None) => break,
                Err(error) => errors.push(error.to_string()),
            }
        }
    };
    for piece in text.chunks(piece) {
        lines.feed(piece);
        drain(&mut lines);
    }
    lines.finish();
    drain(&mut lines);
    (rows, errors)
}

fn rows(text: &str) -> Vec<(i64, Vec<f64>)> {
    let (rows, errors) = read(text.as_bytes(), BadValues::Reject, 7);
    assert!(errors.is_empty(), "{errors:?}");
    rows
}

#[test]
fn the_layouts_of_the_world_are_the_same_rows() {
    let expected = [(1, vec![1.5, 0.0]), (2, vec![-2.0, 1.0])];
    for text in [
        "time,a,b\n1,1.5,0\n2,-2,1\n",
        "\u{feff}time,a,b\r\n1,1.5,OFF\r\n2,-2,ON\r\n",
        "time;a;b\n1;1,5;0\n2;-2,0;1",
        "time\ta\tb\n1\t1,5\t0\n2\t-2\t1\n\n",
        "\"time\",\"a (m, over ground)\",\"5\"\" pipe\"\n\"1\",\"1.5\",\"0\"\n2,-2,true\n",
        "time,\"level\nm\",b\n1,1.5,closed\n2,-2,open\n",
        "\n,5\" pipe,b,\n1,1.5,0,\n2,-2,1\n",
        "time;a, in m;b\n1;1.5;0\n2;-2;1\n",
    ] {
        assert_eq!(rows(text), expected, "{text:?}");
    }
}

#[test]
fn names_are_cleaned_and_known_after_the_header() {
    let mut lines = lines(BadValues::Reject);
    lines.feed(b"\xef\xbb\xbftime, a ,\"level\nm\"");
    assert!(!lines.read_header().unwrap());
    assert_eq!(lines.sensors(), None);
    lines.feed(b"\n1,2,");
    assert!(lines.next_row(&mut Vec::new()).unwrap().is_none());
    assert_eq!(lines.sensors().unwrap(), ["a", "level m"]);
    lines.feed(b"3\n");
    let mut values = Vec::new();
    assert!(lines.next_row(&mut values).unwrap().is_some());
    assert_eq!(
        (values.as_slice(), lines.line()),
        ([2.0, 3.0].as_slice(), 3)
    );
}

#[test]
fn headers_that_cannot_work_are_refused_once() {
    for (text, message) in [
        (
            "2025-11-25T14:03:07Z,1,2\n",
            "normal.csv:1: this line holds values, not names (it starts with \"2025-11-25T14:03:07Z\"); the first line must name the columns, as in time,LIT101,FIT101",
        ),
        (
            "25.11.2025 14:03,1.5,2\n",
            "normal.csv:1: this line holds values",
        ),
        (
            "time a b\n",
            "normal.csv:1: the header names one column only (\"time a b\"); a time column",
        ),
        (
            "time,a,b,a\n",
            "normal.csv:1: columns 2 and 4 are both called \"a\"; rename one of them",
        ),
        (
            "time,a,time\n",
            "normal.csv:1: columns 1 and 3 are both called \"time\"",
        ),
        ("\ntime,,b\n", "normal.csv:2: column 2 has no name"),
        (
            "time,\"a\n1,2\n3,4\n",
            "normal.csv:1: a quote is opened and never closed",
        ),
        (
            "time,a\r1,2\r",
            "normal.csv:1: lines end in a carriage return alone",
        ),
    ] {
        let (rows, errors) = read(text.as_bytes(), BadValues::Missing, 1000);
        assert!(rows.is_empty());
        assert_eq!(errors.len(), 1, "{text:?}: {errors:?}");
        assert!(errors[0].starts_with(message), "{}", errors[0]);
    }
    let (_, errors) = read(b"time,\xb0C\n1,2\n", BadValues::Missing, 3);
    assert_eq!(
        errors,
        ["normal.csv:1: the line is not UTF-8 text from byte 6 on; save the file as UTF-8"]
    );
}

#[test]
fn a_bad_row_is_named_and_costs_no_other() {
    for (row, message) in [
        (
            "2,7,3O4",
            "normal.csv:3: the number of columns is 3, but 2 in the header",
        ),
        (
            "2,7.3O4",
            "normal.csv:3: column LIT101: \"7.3O4\" is not a number (value treated as missing in `run`; `train` wants it fixed or --skip-bad-values)",
        ),
        (
            "2",
            "normal.csv:3: the number of columns is 1, but 2 in the header",
        ),
        (
            "noon,1",
            "normal.csv:3: column time: \"noon\" is not a time (use 2026-11-25T14:03:07Z, 2026-11-25 14:03:07 or seconds since 1970)",
        ),
        (
            "0,1",
            "normal.csv:3: the time goes back to 1970-01-01T00:00:00Z, after 1970-01-01T00:00:01Z in the row above",
        ),
        (
            "2,\"3",
            "normal.csv:3: a quote is opened and never closed in this line",
        ),
    ] {
        let text = format!("time,LIT101\n1,1\n{row}\n3,3\n");
        let (rows, errors) = read(text.as_bytes(), BadValues::Reject, 5);
        assert_eq!(rows, [(1, vec![1.0]), (3, vec![3.0])], "{row}");
        assert_eq!(errors.len(), 1, "{row}: {errors:?}");
        assert!(errors[0].starts_with(message), "{}", errors[0]);
    }
}

#[test]
fn bad_rows_can_be_left_out_and_counted() {
    let text = b"time;a;b\n1;7,3O4;x\n2;1\n0;1,5;2\n\0\0\0\0;1;1\n4;-;\n\xff;1;1\n";
    let mut lines = lines(BadValues::Missing);
    lines.feed(text);
    let mut values = Vec::new();
    let mut times = Vec::new();
    while let Some(time) = lines.next_row(&mut values).unwrap() {
        times.push(time.nanos() / 1_000_000_000);
    }
    assert_eq!(times, [1, 0, 4]);
    let rejected = lines.rejected();
    assert_eq!((rejected.values, rejected.rows), (2, 3));
    assert_eq!(rejected.examples.len(), 4);
    assert!(rejected.examples.iter().all(CsvError::is_row));
}

#[test]
fn a_line_without_end_is_dropped_and_the_next_is_read() {
    let mut text = b"time,a\n1,".to_vec();
    text.resize(text.len() + 3 * LONGEST_LINE, b'7');
    text.extend_from_slice(b"\n2,3\n");
    for piece in [text.len(), 60_000] {
        let (rows, errors) = read(&text, BadValues::Reject, piece);
        assert_eq!(rows, [(2, vec![3.0])]);
        assert_eq!(
            errors,
            ["normal.csv:2: the line is longer than 1048576 bytes; is this a CSV file?"]
        );
    }
    let header = vec![b'x'; 2 * LONGEST_LINE];
    let (_, errors) = read(&header, BadValues::Reject, 60_000);
    assert_eq!(errors.len(), 1);
    assert!(
        errors[0].starts_with("normal.csv:1: the line is longer"),
        "{}",
        errors[0]
    );
}

#[test]
fn a_replaced_file_starts_with_its_own_header() {
    let mut lines = lines(BadValues::Reject);
    let mut values = Vec::new();
    lines.feed(b"time,a\n9,1\n10,");
    assert!(lines.next_row(&mut values).unwrap().is_some());
    lines.restart();
    lines.feed(b"time,a,b\n1,2,3\n");
    assert!(lines.next_row(&mut values).unwrap().is_some());
    assert_eq!(values, [2.0, 3.0]);
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic_and_alike_in_any_pieces(
        text in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..300),
            "(time[,;]a[,;]b\n)?[0-9,;.\"\r\nON-]{0,200}".prop_map(String::into_bytes),
        ],
        piece in 1_usize..50,
        bad in prop::sample::select(vec![BadValues::Reject, BadValues::Missing]),
    ) {
        let whole = read(&text, bad, text.len().max(1));
        let pieces = read(&text, bad, piece);
        prop_assert_eq!(format!("{whole:?}"), format!("{pieces:?}"));
        for (_, values) in &whole.0 {
            prop_assert!(values.iter().all(|value| !value.is_infinite()));
        }
    }

    #[test]
    fn rows_before_a_bad_one_are_never_lost(good in 1_usize..40, tail in "[^\n]{0,40}", piece in 1_usize..64) {
        let mut text = String::from("time,a\n");
        for row in 0..good {
            text.push_str(&format!("{row},{row}.5\n"));
        }
        text.push_str(&tail);
        let (rows, _) = read(text.as_bytes(), BadValues::Reject, piece);
        prop_assert!(rows.len() >= good);
        for (row, (time, values)) in rows.iter().take(good).enumerate() {
            prop_assert_eq!(*time, row as i64);
            prop_assert_eq!(values.as_slice(), &[row as f64 + 0.5]);
        }
    }
}
