//! Certificates for a broker that is reached over TLS, made by openssl.

use std::path::Path;
use std::process::Command;

/// Makes a certificate authority, a certificate of it for localhost, and an authority that is not it.
pub fn make(openssl: &Path, dir: &Path) {
    std::fs::write(
        dir.join("ext"),
        "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n",
    )
    .unwrap();
    for arguments in [
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=testca -keyout ca.key -out ca.pem",
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=otherca -keyout other.key -out other.pem",
        "req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr",
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out server.pem",
    ] {
        let output = Command::new(openssl)
            .args(arguments.split(' '))
            .current_dir(dir)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
