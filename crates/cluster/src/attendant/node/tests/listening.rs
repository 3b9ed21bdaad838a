//! What workers can listen on, and what they are told when they cannot.

use phalanx_channel::node::Value;

use super::stage::{each_version, round_robin, shared};

#[test]
fn a_port_that_is_taken_is_an_error_event_in_the_worker() {
    let script = r#"
        require('net').createServer().on('error', error => process.send({
            code: error.code, errno: error.errno, syscall: error.syscall, port: error.port, address: error.address,
        })).listen(Number(process.env.PORT), '127.0.0.1');
    "#;
    for options in [round_robin(), shared()] {
        each_version(options, async |stage| {
            let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let port = taken.local_addr().unwrap().port();
            let worker = stage.start_with(script, &[("PORT", port.to_string())]).await;
            let error = stage.message(&worker).await;
            assert_eq!(error.get("code"), Some(&"EADDRINUSE".into()));
            assert_eq!(error.get("errno"), Some(&Value::Number(-98.0)));
            assert_eq!(error.get("syscall"), Some(&"bind".into()));
            assert_eq!(error.get("port"), Some(&u32::from(port).into()));
            // When the port is free again, the next attempt succeeds.
            drop(taken);
            stage.serve(super::HELLO, port).await;
        });
    }
}
