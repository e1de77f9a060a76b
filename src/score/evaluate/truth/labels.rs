//! `labels.csv`: a header with a column `label`, then 0 or 1 on each line, one line a row of the
//! recording in the recording's order; commas, semicolons or tabs. Imports nothing outside `truth`.

use std::fs;
use std::path::Path;

use super::TruthError;

/// Reads the column `label` of a CSV file: 0 or 1 on each line.
///
/// # Errors
/// Says which line is wrong and what it holds.
pub fn read_labels(path: &Path) -> Result<Vec<bool>, TruthError> {
    let bytes = fs::read(path).map_err(|source| TruthError::Read {
        path: path.to_owned(),
        source,
    })?;
    let at = |line: u64, problem: String| TruthError::Line {
        path: path.to_owned(),
        line,
        problem,
    };
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let header = bytes.split(|&byte| byte == b'\n').next().unwrap_or(bytes);
    let delimiter = [b';', b'\t']
        .into_iter()
        .find(|delimiter| header.contains(delimiter))
        .unwrap_or(b',');
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .trim(csv::Trim::All)
        .flexible(true)
        .from_reader(bytes);
    let header = reader.headers().map_err(|e| at(1, e.to_string()))?;
    let column = header
        .iter()
        .position(|name| name.eq_ignore_ascii_case("label"))
        .ok_or_else(|| {
            at(
                1,
                "no column \"label\"; expected the header time,label".into(),
            )
        })?;
    let mut labels = Vec::new();
    let mut record = csv::StringRecord::new();
    loop {
        let line = reader.position().line();
        match reader.read_record(&mut record) {
            Ok(false) => return Ok(labels),
            Ok(true) => {}
            Err(e) => return Err(at(line, e.to_string())),
        }
        let line = record.position().map_or(line, csv::Position::line);
        let text = record.get(column).unwrap_or("");
        labels.push(match text.parse::<f64>() {
            Ok(0.0) => false,
            Ok(1.0) => true,
            _ => return Err(at(line, format!("label \"{text}\" is neither 0 nor 1"))),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::PathBuf;

    fn file(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.csv");
        fs::write(&path, content).unwrap();
        (folder, path)
    }

    #[test]
    fn labels_are_read_by_name_of_their_column() {
        for text in [
            "time,label\n2019-01-17T10:53:00Z,0\n2019-01-17T10:54:00Z,1\n",
            "\u{feff}\"time\";\"Label\"\r\n1;0\r\n2;1.0\r\n",
            "label\n0\n1",
        ] {
            let (_folder, path) = file(text.as_bytes());
            assert_eq!(read_labels(&path).unwrap(), [false, true], "{text}");
        }
    }

    #[test]
    fn label_errors_name_file_and_line() {
        for (text, message) in [
            (
                "time,label\n1,0\n2,yes\n",
                "labels.csv:3: label \"yes\" is neither 0 nor 1",
            ),
            (
                "time,label\n1,0\n2\n",
                "labels.csv:3: label \"\" is neither 0 nor 1",
            ),
            (
                "1,0\n2,1\n",
                "labels.csv:1: no column \"label\"; expected the header time,label",
            ),
            (
                "",
                "labels.csv:1: no column \"label\"; expected the header time,label",
            ),
        ] {
            let (_folder, path) = file(text.as_bytes());
            let error = read_labels(&path).unwrap_err().to_string();
            assert!(error.ends_with(message), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut content = b"label\n".to_vec();
            content.extend(&bytes);
            let (_folder, path) = file(&content);
            if let Ok(labels) = read_labels(&path) {
                prop_assert!(labels.len() <= bytes.len());
            }
        }
    }
}
