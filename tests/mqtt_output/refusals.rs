//! Brokers that ask who we are, and brokers that do not take what we say.

use super::broker::{self, Broker};
use super::daemon::{Site, feed};
use super::subscriber::Subscriber;
use super::{certificates, config, cycle, peer, site};

#[test]
fn a_password_file_lets_us_in_and_a_wrong_one_is_named() {
    let Some(broker) = Broker::start_with_password("right") else {
        return;
    };
    let mut options = rumqttc::MqttOptions::new("reader", "127.0.0.1", broker.port);
    options.set_credentials("anomalyd", "right");
    let subscriber = Subscriber::with(options);
    let site = site(
        broker.port,
        "username = \"anomalyd\"\npassword_file = \"@/secret\"\n",
    );
    std::fs::write(site.path("secret"), "wrong\n").unwrap();
    let daemon = site.run();
    daemon.until_log("refused the login; check username and password_file");
    assert!(!daemon.log().contains("wrong"), "{}", daemon.log());
    std::fs::write(site.path("secret"), "right\n").unwrap();
    daemon.reload();
    subscriber.until("pi/status", "online", |all| {
        all.last().is_some_and(|one| one["online"] == true)
    });
    daemon.terminate().ok();
}

#[test]
fn a_broker_is_trusted_by_its_certificate_only() {
    let Some(openssl) = broker::program("openssl") else {
        return;
    };
    let broker = Broker::start_with(|dir| {
        certificates::make(&openssl, dir);
        let file = |name: &str| dir.join(name).display().to_string();
        format!(
            "allow_anonymous true\ncertfile {}\nkeyfile {}\nlistener {} 127.0.0.1\n",
            file("server.pem"),
            file("server.key"),
            {
                let port = peer::free_port();
                std::fs::write(dir.join("port"), port.to_string()).unwrap();
                port
            }
        )
    });
    let Some(broker) = broker else { return };
    let plain: u16 = std::fs::read_to_string(broker.dir.path().join("port"))
        .unwrap()
        .parse()
        .unwrap();
    let subscriber = Subscriber::new(plain);
    let ca = |name: &str| {
        let file = broker.dir.path().join(name);
        config(
            broker.port,
            &format!("tls = true\nca_file = \"{}\"\n", file.display()),
        )
        .replace("host = \"127.0.0.1\"", "host = \"localhost\"")
    };
    let site = Site::new(&ca("other.pem"));
    let daemon = site.run();
    daemon.until_log("no secure connection");
    site.write(&ca("ca.pem"));
    daemon.reload();
    subscriber.until("pi/status", "online", |all| {
        all.last().is_some_and(|one| one["online"] == true)
    });
    // A file that is not there is refused before anything changes.
    std::fs::write(broker.dir.path().join("empty.pem"), "").unwrap();
    site.write(&ca("empty.pem"));
    daemon.reload();
    daemon.until_log("reload refused");
    daemon.until_log("output.mqtt.ca_file");
    daemon.terminate().ok();
}

#[test]
fn a_broker_that_takes_no_long_messages_gets_the_alarm_in_short() {
    let broker = Broker::start_with(|_| "allow_anonymous true\nmax_packet_size 700\n".to_owned());
    let Some(broker) = broker else { return };
    let subscriber = Subscriber::new(broker.port);
    let site = site(broker.port, "health_every = \"0s\"\n");
    let daemon = site.run();
    subscriber.until("pi/status", "online", |all| !all.is_empty());
    feed(&mut site.connect(), &cycle(0));
    let all = subscriber.until("pi/alarm", "an alarm", |all| {
        all.iter().any(|one| one["transition"] == "cleared")
    });
    let raised = &all[0];
    assert_eq!(raised["transition"], "raised");
    assert_eq!(raised["shortened"], true);
    assert!(raised["id"].is_string() && raised["message"].is_string());
    daemon.until_log("closes the connection at a message of");
    daemon.terminate().ok();
}
