//! Readiness, status and watchdog towards systemd.
