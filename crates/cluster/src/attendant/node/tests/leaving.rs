//! How workers go.

use phalanx_process::{ExitStatus, Signal};

use super::HELLO;
use super::stage::{each, each_version, get, round_robin};
use crate::attendant::node::Said;

#[test]
fn a_worker_that_leaves_by_itself_says_so_and_exits_well() {
    for way in ["disconnect", "kill"] {
        let script = format!("{HELLO}\nprocess.on('message', () => cluster.worker.{way}());");
        each(round_robin(), async |stage| {
            let (leaving, address) = stage.serve(&script, 0).await;
            let _other = stage.serve(HELLO, 0).await;
            stage.hall.send(leaving.id, &"go".into()).unwrap();
            stage.hears(leaving.id, |said| (*said == Said::Leaves).then_some(())).await;
            assert!(stage.disconnected(leaving.id).await);
            assert_eq!(leaving.exited().await, ExitStatus::Code(0));
            assert_eq!(get(address).await, "2");
            assert!(stage.complaints().is_empty(), "{:?}", stage.complaints());
        });
    }
}

#[test]
fn a_crash_is_told_apart_from_leaving() {
    let endings = [
        ("process.exit(3)", ExitStatus::Code(3)),
        ("throw new Error('expected by the test')", ExitStatus::Code(1)),
        ("process.kill(process.pid, 'SIGKILL')", ExitStatus::Signal(Signal::Kill.number())),
    ];
    for (ending, status) in endings {
        let script = format!("{HELLO}\nprocess.on('message', () => {{ console.error = () => {{}}; {ending} }});");
        each_version(round_robin(), async |stage| {
            let (worker, _) = stage.serve(&script, 0).await;
            stage.hall.send(worker.id, &"go".into()).unwrap();
            assert!(!stage.disconnected(worker.id).await);
            assert_eq!(worker.exited().await, status);
        });
    }
}

#[test]
fn a_worker_that_closes_its_channel_gets_no_more_connections() {
    // It lives on; the primary of Node would not know what to do with it either.
    let script = format!(
        "{HELLO}\nprocess.on('message', () => {{ setInterval(() => {{}}, 1000); process.disconnect(); }});
        cluster.worker.exitedAfterDisconnect = true;"
    );
    each_version(round_robin(), async |stage| {
        let (closing, address) = stage.serve(&script, 0).await;
        let _other = stage.serve(HELLO, 0).await;
        stage.hall.send(closing.id, &"go".into()).unwrap();
        stage.disconnected(closing.id).await;
        for _ in 0..4 {
            assert_eq!(get(address).await, "2");
        }
        assert_eq!(closing.child.try_exited().unwrap(), None);
    });
}

#[test]
fn a_program_tells_when_it_is_ready_and_what_it_has_to_say() {
    let script =
        "process.send('ready'); process.send({ some: ['thing', 1] }); process.on('message', m => process.send(m));";
    each(round_robin(), async |stage| {
        let worker = stage.start(script).await;
        stage.hears(worker.id, |said| (*said == Said::Online).then_some(())).await;
        stage.hears(worker.id, |said| (*said == Said::Ready).then_some(())).await;
        let message = stage.message(&worker).await;
        assert!(message.get("some").is_some(), "{message:?}");
        stage.hall.send(worker.id, &"echo".into()).unwrap();
        assert_eq!(stage.message(&worker).await, "echo".into());
        stage.hall.disconnect(worker.id);
        assert!(stage.disconnected(worker.id).await);
    });
}
