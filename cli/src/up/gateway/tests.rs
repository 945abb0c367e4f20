use super::*;

#[test]
fn a_port_in_use_is_refused_with_its_number_and_the_fix() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    let error = check_port(&mesh_file::Gateway { port, ..Default::default() }).unwrap_err().to_string();
    assert!(error.starts_with(&format!("port {port} of 127.0.0.1 is in use")), "{error}");
    assert!(error.contains("deployment.gateway.port"), "{error}");
}

#[test]
fn the_listener_is_found_by_its_name() {
    let answer = br#"{"listener_statuses": [
        {"name": "other", "local_address": {"socket_address": {"address": "127.0.0.1", "port_value": 1}}},
        {"name": "gateway", "local_address": {"socket_address": {"address": "127.0.0.1", "port_value": 40123}}}
    ]}"#;
    assert_eq!(listener_address(answer).unwrap(), SocketAddr::from(([127, 0, 0, 1], 40123)));
    assert!(listener_address(b"{}").is_err());
}
