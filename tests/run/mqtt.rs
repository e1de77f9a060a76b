//! The whole plant over MQTT, a topic a sensor, from a real mosquitto.

use std::time::Duration;

use serde_json::json;

use super::broker::{Broker, Publisher};
use super::daemon::Site;
use super::plant::{FAULT_ROW, parsed, plant};

/// `more` stands in the table of each topic, after `topic = "plant/SENSOR"`.
fn config(port: u16, more: &str) -> String {
    let mut text =
        format!("[source.mqtt]\nhost = \"127.0.0.1\"\nport = {port}\n[source.mqtt.topics]\n");
    for sensor in plant().sensors() {
        text.push_str(&format!(
            "{sensor} = {{ topic = \"plant/{sensor}\"{more} }}\n"
        ));
    }
    text
}

#[tokio::test]
async fn fifty_one_topics_give_the_alarms_of_a_replay_and_a_broker_may_restart() {
    let Some(mut broker) = Broker::start() else {
        return;
    };
    let site = Site::new(&config(broker.port, ", path = \"v\", time_path = \"t\""));
    let daemon = site.run();
    daemon.until_log("51 topics");
    let (before, after) = plant().lines[..2_000].split_at(FAULT_ROW + 60);
    publish(broker.port, before).await;
    let raised = daemon.until_alarm("anomaly", "raised", 1);
    assert_eq!(vec![raised.to_string()], replayed(before));

    broker.kill();
    daemon.until_log("; trying again in ");
    broker.restart();
    daemon.until_logged("51 topics", 2);
    publish(broker.port, after).await;
    let cleared = daemon.until_alarm("anomaly", "cleared", 1);
    assert_eq!(cleared["id"], raised["id"]);
    let finished = daemon.terminate();
    finished.ok();
    assert!(
        finished.took < Duration::from_secs(2),
        "{:?}",
        finished.took
    );
}

async fn publish(port: u16, lines: &[String]) {
    let sensors = plant().sensors();
    let mut publisher = Publisher::new(port);
    for line in lines {
        let row = parsed(line);
        for sensor in &sensors {
            let payload = json!({ "v": row[sensor], "t": row["time"] });
            let topic = format!("plant/{sensor}");
            publisher.publish(&topic, payload.to_string()).await;
        }
    }
    publisher.finish().await;
}

fn replayed(lines: &[String]) -> Vec<String> {
    let alarms = plant().replayed(lines);
    alarms.iter().map(|line| parsed(line).to_string()).collect()
}

#[tokio::test]
async fn plain_numbers_are_dated_by_their_arrival() {
    let Some(broker) = Broker::start() else {
        return;
    };
    // The plant ten times as fast as it was, which its model does not mind.
    let site = Site::new(&format!("period = \"100ms\"\n{}", config(broker.port, "")));
    let daemon = site.run();
    daemon.until_log("51 topics");
    let mut publisher = Publisher::new(broker.port);
    let waits = daemon.waits_of("infer");
    let mut samples = 0;
    let mut beat = tokio::time::interval(Duration::from_millis(100));
    for line in &plant().lines[FAULT_ROW - 30..FAULT_ROW + 40] {
        beat.tick().await;
        let row = parsed(line);
        for sensor in plant().sensors() {
            let payload = row[&sensor].to_string();
            publisher.publish(&format!("plant/{sensor}"), payload).await;
            samples += 1;
        }
    }
    publisher.finish().await;
    let raised = daemon.until_alarm("anomaly", "raised", 1);
    // Woken by frames, not by samples: some two times for each of the former.
    let waits = daemon.waits_of("infer") - waits;
    assert!(
        waits < samples / 8,
        "{waits} wake-ups for {samples} samples"
    );
    let sensor = raised["sensors"][0]["sensor"].as_str().unwrap();
    let spoofed = [
        "AIT201", "AIT202", "AIT402", "AIT501", "AIT502", "AIT503", "PIT502", "TIT101",
    ];
    assert!(spoofed.contains(&sensor), "{raised}");
    daemon.terminate().ok();
}
