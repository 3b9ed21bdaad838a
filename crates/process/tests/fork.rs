//! Forked children: this test, executed again as one of its parts, and Node on either end. It has no test harness, because
//! the harness starts threads before `init` could run.
//!
//! `PHALANX_MESSAGES` sets the number of messages of the long form.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use phalanx_channel::{Attachments, DescriptorPolicy, End, Error as ChannelError, Options};
use phalanx_process::{
    Command, Error, Event, ExitStatus, Fork, ForkNode, Limit, Parent, Signal, SpawnError, Stdio, fork, forked, parent,
};
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(30);

fn main() {
    phalanx_process::init().expect("init");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        match forked() {
            None => run_tests().await,
            Some("echo") => echo().await,
            Some("burst") => burst().await,
            Some("flood") => flood().await,
            Some("bomb") => bomb().await,
            Some("sibling") => sibling().await,
            Some("sink") => sink().await,
            Some(other) => panic!("unknown part {other}"),
        }
    });
}

macro_rules! tests {
    ($($name:ident: $promise:literal;)*) => {
        async fn run_tests() {
            // Under a Node parent this same program is the child that it talks to.
            if std::env::args().nth(1).as_deref() == Some("under-node") {
                return under_node().await;
            }
            let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
            let mut passed = 0;
            $(
                if wanted.as_ref().is_none_or(|wanted| $promise.contains(wanted.as_str())) {
                    tokio::time::timeout(DEADLINE, $name()).await.expect($promise);
                    println!("test {} ... ok", $promise);
                    passed += 1;
                }
            )*
            println!("{passed} passed, 0 failed");
        }
    };
}

tests! {
    talks: "parent and child exchange typed messages, and the end of the channel ends the child";
    told_in_order: "events come in order, the messages of a child before its end";
    burst_arrives: "a child that exits right after 2 000 messages of 1 KiB: all arrive";
    killed_midway: "SIGKILL while the child writes gives whole messages and then the end";
    killed_parent_side: "a child whose parent closes between two messages sees the end";
    flood_is_bounded: "a child that floods and is not read costs no memory and can be killed";
    never_reads: "a child that never reads costs the sender a bounded buffer and can be killed";
    no_bomb: "a part that forgets to take its end can start nothing";
    bad_names: "a part without a proper name is refused";
    siblings: "an end of a channel sent to a child connects two siblings directly";
    few_descriptors: "a child with 20 descriptors gets a clear error and its messages all the same";
    many_messages: "messages without end leave descriptors, threads and memory where they began";
    nobody: "without a parent there is an error that says so";
    node_child: "an unmodified Node script answers, in both serializations";
    node_parent: "a Node parent forks this program and gets its answers, all of them, and its exit code";
    node_channel_is_private: "the channel of a Node parent is not inherited by our children";
}

async fn talks() {
    let (child, channel) = fork::<String, String>("echo").await.unwrap();
    for text in ["one", "two", ""] {
        channel.send(&text.to_owned()).await.unwrap();
        assert_eq!(channel.recv().await.unwrap().unwrap().value, format!("echo {text}"));
    }
    let answer = channel.request(&"asked".to_owned(), DEADLINE).await.unwrap();
    assert_eq!(answer.value, "echo asked");
    drop(channel);
    assert_eq!(child.exited().await.unwrap(), ExitStatus::Code(0));
    assert_eq!(child.closed().await.unwrap(), ExitStatus::Code(0));
}

async fn told_in_order() {
    let (child, channel) = fork::<(), String>("burst").await.unwrap();
    let mut conversation = child.conversation(channel.split().1);
    let (mut told, mut messages) = (Vec::new(), 0);
    while let Some(event) = conversation.next().await.unwrap() {
        match event {
            Event::Spawned { pid } => {
                assert_eq!(pid, child.pid());
                told.push("spawned".to_owned());
            }
            Event::Message(_) => messages += 1,
            Event::Disconnected => told.push(format!("disconnected after {messages}")),
            Event::Exited(status) => told.push(format!("exited {status}")),
            Event::Closed(status) => told.push(format!("closed {status}")),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(told, ["spawned", "disconnected after 2000", "exited code 7", "closed code 7"]);
}

async fn burst_arrives() {
    let (child, channel) = fork::<(), String>("burst").await.unwrap();
    // Only after its death do we read.
    let ended = tokio::time::timeout(Duration::from_millis(200), child.exited()).await;
    let mut count = 0;
    while let Some(message) = channel.recv().await.unwrap() {
        assert_eq!(message.value.len(), 1024);
        count += 1;
    }
    assert_eq!(count, 2_000, "{ended:?}");
    assert_eq!(child.exited().await.unwrap(), ExitStatus::Code(7));
}

async fn killed_midway() {
    for after in [0, 1, 10, 500] {
        let (child, channel) = fork::<(), String>("flood").await.unwrap();
        for _ in 0..after {
            assert_eq!(channel.recv().await.unwrap().unwrap().value.len(), 100_000);
        }
        assert!(child.kill(Signal::Kill).unwrap());
        while let Some(message) = channel.recv().await.unwrap() {
            assert_eq!(message.value.len(), 100_000, "half a message");
        }
        assert_eq!(child.exited().await.unwrap(), ExitStatus::Signal(9));
    }
}

async fn killed_parent_side() {
    let (child, channel) = fork::<(), String>("flood").await.unwrap();
    channel.recv().await.unwrap().unwrap();
    drop(channel);
    // Its send fails with `Closed`, which it takes as the end.
    assert_eq!(child.exited().await.unwrap(), ExitStatus::Code(0));
}

async fn flood_is_bounded() {
    let (child, channel) = fork::<(), String>("flood").await.unwrap();
    channel.recv().await.unwrap().unwrap();
    let before = resident();
    // The kernel's buffers are full when the child sleeps in its write.
    tokio::time::timeout(DEADLINE, asleep(child.pid())).await.unwrap();
    assert!(resident() < before + (8 << 20), "not reading cost {} bytes", resident() - before);
    assert!(child.kill(Signal::Kill).unwrap());
    assert_eq!(child.exited().await.unwrap(), ExitStatus::Signal(9));
}

async fn never_reads() {
    let options = Options::default().send_deadline(Duration::from_millis(100));
    let (child, channel) = Fork::new("echo").options(options).spawn::<String, String>().await.unwrap();
    channel.request(&"up".to_owned(), DEADLINE).await.unwrap();
    assert!(child.kill(Signal::Stop).unwrap());
    let before = resident();
    let text = "x".repeat(10_000);
    let stalled = loop {
        match channel.send(&text).await {
            Ok(()) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(stalled, ChannelError::Stalled { .. }), "{stalled}");
    assert!(resident() < before + (8 << 20), "a stopped reader cost {} bytes", resident() - before);
    assert!(child.kill(Signal::Kill).unwrap());
    assert_eq!(child.exited().await.unwrap(), ExitStatus::Signal(9));
}

async fn no_bomb() {
    let (child, channel) = fork::<(), ()>("bomb").await.unwrap();
    assert_eq!(child.exited().await.unwrap(), ExitStatus::Code(0), "a part could start others before it took its end");
    assert!(channel.recv().await.unwrap().is_none());
}

async fn bad_names() {
    for name in ["", "a;b", "a b", "a=b", "ä"] {
        assert!(matches!(fork::<(), ()>(name).await, Err(SpawnError::BadName { .. })), "{name:?} was accepted");
    }
    let missing = Fork::program("part", "/does/not/exist").spawn::<(), ()>().await.unwrap_err();
    assert!(missing.to_string().contains("/does/not/exist"), "{missing}");
}

async fn siblings() {
    let (one, other) = End::<String, String>::pair().unwrap();
    let mut children = Vec::new();
    for end in [one.into_descriptor(), other.into_descriptor()] {
        let (child, channel) = fork::<(), String>("sibling").await.unwrap();
        channel.send_with(&(), Attachments::none().descriptor(end)).await.unwrap();
        children.push((child, channel));
    }
    let pids: Vec<u32> = children.iter().map(|(child, _)| child.pid()).collect();
    for (index, (child, channel)) in children.iter().enumerate() {
        let told = channel.recv().await.unwrap().unwrap().value;
        assert_eq!(told, format!("hello from {}", pids[1 - index]));
        assert_eq!(child.exited().await.unwrap(), ExitStatus::Code(0));
    }
}

async fn few_descriptors() {
    let fork = Fork::new("sink").command(|command| command.rlimit(Limit::OpenFiles, 20));
    let (child, channel) = fork.spawn::<u32, String>().await.unwrap();
    let file = tempfile::tempfile().unwrap();
    let many = (0..100).fold(Attachments::none(), |all, _| all.descriptor(file.try_clone().unwrap()));
    channel.send(&1).await.unwrap();
    assert_eq!(channel.recv().await.unwrap().unwrap().value, "1");
    channel.send_with(&2, many).await.unwrap();
    let told = channel.recv().await.unwrap().unwrap().value;
    assert!(told.contains("too many open files"), "{told}");
    channel.send(&3).await.unwrap();
    assert_eq!(channel.recv().await.unwrap().unwrap().value, "3", "only that message was lost");
    drop(channel);
    assert_eq!(child.exited().await.unwrap(), ExitStatus::Code(0));
}

async fn many_messages() {
    let count = std::env::var("PHALANX_MESSAGES").ok().and_then(|n| n.parse().ok()).unwrap_or(100_000u64);
    let (child, channel) = fork::<String, String>("echo").await.unwrap();
    let round = async |count: u64| {
        let text = "m".repeat(100);
        let (feeding, taking) = (channel.clone(), channel.clone());
        let feed = async move {
            for _ in 0..count {
                feeding.feed(&text).await.unwrap();
            }
            feeding.flush().await.unwrap();
        };
        let take = async move {
            for _ in 0..count {
                taking.recv().await.unwrap().unwrap();
            }
        };
        tokio::join!(feed, take);
    };
    round(count / 10).await;
    // Many messages one by one get a ring for each direction, once.
    for _ in 0..200 {
        channel.send(&"one".to_owned()).await.unwrap();
        channel.recv().await.unwrap().unwrap();
    }
    let before = (open_descriptors(), threads(), resident());
    round(count).await;
    assert_eq!((open_descriptors(), threads()), (before.0, before.1));
    assert!(resident() < before.2 + (2 << 20), "{count} messages cost {} bytes", resident() - before.2);
    drop(channel);
    assert_eq!(child.exited().await.unwrap(), ExitStatus::Code(0));
}

async fn nobody() {
    assert!(matches!(parent::<(), ()>(), Err(Error::NoParent)));
}

async fn node_child() {
    use phalanx_channel::node::Serialization;
    if !has_node().await {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("double.js");
    std::fs::write(&script, "process.on('message', (m) => process.send({ result: m.payload.map((n) => n * 2) }));")
        .unwrap();
    for serialization in [Serialization::Json, Serialization::Advanced] {
        let forked = ForkNode::new(&script).serialization(serialization).spawn::<Value, Value>().await;
        let (child, channel) = forked.unwrap();
        channel.send(&json!({"payload": [1, 2, 3]})).await.unwrap();
        assert_eq!(channel.recv().await.unwrap().unwrap().value, json!({"result": [2, 4, 6]}));
        drop(channel);
        // Node never tells `close` after a parent's disconnect; ours always resolves.
        assert_eq!(child.closed().await.unwrap(), ExitStatus::Code(0));
    }
}

const NODE_PARENT: &str = "
const { fork } = require('node:child_process');
const child = fork('under-node', ['more'], { execPath: process.argv[1], execArgv: [], serialization: process.argv[2] });
let count = 0;
child.on('message', (m) => { if (m.part) count += 1; else console.log(JSON.stringify(m)); });
child.on('exit', (code) => { console.log('exit', code, 'parts', count); });
child.send({ payload: [1, 2, 3] });
";

async fn node_parent() {
    if !has_node().await {
        return;
    }
    for serialization in ["json", "advanced"] {
        let node =
            Command::new("node").args(["-e", NODE_PARENT]).arg(std::env::current_exe().unwrap()).arg(serialization);
        let mut child = node.stdin(Stdio::Null).stderr(Stdio::Inherit).spawn().await.unwrap();
        let said = read(child.stdout.take().unwrap()).await;
        // A Node child that exits after 2 000 messages loses most of them.
        assert_eq!(said, "{\"result\":[2,4,6]}\nexit 3 parts 2000\n", "{serialization}");
        assert_eq!(child.exited().await.unwrap(), ExitStatus::Code(0));
    }
}

async fn node_channel_is_private() {
    if !has_node().await {
        return;
    }
    let node = Command::new("node").args(["-e", NODE_PARENT.replace("'more'", "'show'").as_str()]);
    let node = node.arg(std::env::current_exe().unwrap()).arg("json");
    let mut child = node.stdin(Stdio::Null).stderr(Stdio::Inherit).spawn().await.unwrap();
    let said = read(child.stdout.take().unwrap()).await;
    assert!(said.contains("no variables, 4 descriptors"), "{said}");
    child.exited().await.unwrap();
}

// ---- the parts ----

async fn echo() {
    let Parent::Phalanx(channel) = parent::<String, String>().unwrap() else { panic!("another parent") };
    while let Some(message) = channel.recv().await.unwrap() {
        let text = format!("echo {}", message.value);
        match message.ticket {
            Some(ticket) => channel.reply(ticket, &text).await.unwrap(),
            None => channel.feed(&text).await.unwrap(),
        }
    }
}

async fn burst() {
    let parent = parent::<String, ()>().unwrap();
    let text = "b".repeat(1024);
    for _ in 0..2_000 {
        parent.send(&text).await.unwrap();
    }
    std::process::exit(7);
}

async fn flood() {
    let parent = parent::<String, ()>().unwrap();
    let text = "f".repeat(100_000);
    while parent.send(&text).await.is_ok() {}
}

async fn bomb() {
    let refused = matches!(fork::<(), ()>("bomb").await, Err(SpawnError::Launcher(Error::RoleNotTaken { .. })));
    std::process::exit(i32::from(!refused));
}

async fn sibling() {
    let Parent::Phalanx(channel) = parent::<String, ()>().unwrap() else { panic!("another parent") };
    let end = channel.recv().await.unwrap().unwrap().descriptors.remove(0);
    let other = End::<String, String>::from_descriptor(end)
        .unwrap()
        .open_with(Options::default().descriptors(DescriptorPolicy::Refuse));
    let other = other.unwrap();
    other.send(&format!("hello from {}", std::process::id())).await.unwrap();
    let told = other.recv().await.unwrap().unwrap().value;
    channel.send(&told).await.unwrap();
}

async fn sink() {
    let Parent::Phalanx(channel) = parent::<String, u32>().unwrap() else { panic!("another parent") };
    loop {
        match channel.recv().await {
            Ok(Some(message)) => channel.send(&message.value.to_string()).await.unwrap(),
            Ok(None) => return,
            Err(error) => channel.send(&error.to_string()).await.unwrap(),
        }
    }
}

async fn under_node() {
    let parent = parent::<Value, Value>().unwrap();
    let message = parent.recv().await.unwrap().unwrap();
    let doubled: Vec<i64> =
        message["payload"].as_array().unwrap().iter().map(|n| n.as_i64().unwrap_or_default() * 2).collect();
    parent.send(&json!({"result": doubled})).await.unwrap();
    if std::env::args().nth(2).as_deref() == Some("show") {
        let shown = Command::shell("env | grep -c NODE_CHANNEL || printf 'no variables, '; ls /proc/self/fd | wc -l");
        let mut child = shown.stdin(Stdio::Null).spawn().await.unwrap();
        let said = read(child.stdout.take().unwrap()).await;
        parent.send(&json!({"shown": said.replace("0\nno", "no").trim().to_owned() + " descriptors"})).await.unwrap();
    }
    let text = "p".repeat(1024);
    for _ in 0..2_000 {
        parent.send(&json!({"part": text})).await.unwrap();
    }
    parent.close(DEADLINE).await.unwrap();
    std::process::exit(3);
}

// ---- tools ----

async fn has_node() -> bool {
    let found = Command::new("node").arg("--version").stdin(Stdio::Null).stdout(Stdio::Null).spawn().await.is_ok();
    assert!(found || std::env::var_os("CI").is_none(), "node is missing, and nothing may be skipped");
    if !found {
        println!("skipped: node is not installed");
    }
    found
}

async fn read(mut output: phalanx_process::ChildOutput) -> String {
    use tokio::io::AsyncReadExt;
    let mut text = String::new();
    output.read_to_string(&mut text).await.unwrap();
    text
}

/// Waits until a process neither runs nor is about to.
async fn asleep(pid: u32) {
    let stat = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let mut still = 0;
    while still < 20 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        still = if stat().contains(") S ") { still + 1 } else { 0 };
    }
}

fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}
