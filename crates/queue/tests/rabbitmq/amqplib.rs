//! Unmodified programs of amqplib (Node) on the same queues: `npm ci` in `tests/node` installs it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use phalanx_queue::conformance::wait;
use phalanx_queue::{Message, QueueName, QueueOptions, Requeue};

use crate::{Test, connect, fresh, missing, next, shared};

pub(crate) const TESTS: &[Test] = &[
    ("a_classic_queue_of_amqplib_is_consumed_and_filled_as_it_is", a_classic_queue_of_amqplib),
    ("amqplib_consumes_and_fills_a_queue_of_ours", amqplib_on_a_queue_of_ours),
    ("headers_of_amqplib_keep_their_types_over_a_delay", headers_keep_their_types),
];

/// Runs this in an async function, with `channel`, `queue`, and `take()`: the next message, unsettled. What it prints.
fn amqplib(url: &str, queue: &QueueName, script: &str) -> String {
    let program = format!(
        "setTimeout(() => {{ console.error('the script hangs'); process.exit(99) }}, 40000).unref();
         const amqp = require('amqplib');
         (async () => {{
           const connection = await amqp.connect({url:?});
           const channel = await connection.createConfirmChannel();
           const queue = '{queue}';
           const take = () => new Promise((resolve) => {{
             channel.consume(queue, async (message) => {{
               await channel.cancel('taker');
               resolve(message);
             }}, {{ consumerTag: 'taker' }});
           }});
           await channel.prefetch(1);
           {script}
           await channel.waitForConfirms();
           await channel.close();
           await connection.close();
         }})().catch((error) => {{ console.error(error); process.exit(1) }});"
    );
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/node/node_modules");
    let mut node = Command::new("node");
    node.args(["-e", &program]).env("NODE_PATH", modules).stderr(Stdio::inherit());
    let output = node.output().unwrap();
    assert!(output.status.success(), "amqplib: {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Whether Node and amqplib are here.
fn is_here() -> bool {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/node/node_modules/amqplib");
    let node = Command::new("node").arg("--version").stdout(Stdio::null()).status();
    let is_here = package.is_dir() && node.is_ok_and(|status| status.success());
    missing(!is_here, "amqplib (npm ci in tests/node)");
    is_here
}

fn a_classic_queue_of_amqplib() {
    let Some(rabbit) = shared().filter(|_| is_here()) else { return };
    let name = QueueName::new(format!("classic-{}", phalanx_queue::JobId::new())).unwrap();
    amqplib(
        &rabbit.url,
        &name,
        "await channel.assertQueue(queue, { durable: true });
         channel.sendToQueue(queue, Buffer.from([0, 1, 255]), {
           persistent: true, contentType: 'image/x', correlationId: 'c', headers: { text: 'grün', number: 5, yes: true },
         });",
    );
    let queue = connect(&rabbit.url);
    wait(queue.declare(&QueueOptions::new(name.as_str()).unwrap().passive())).unwrap();
    let mut consumer = wait(queue.consume(&name, 1)).unwrap();
    let delivery = next(&mut consumer);
    let Message { body, headers, content_type, correlation_id, .. } = &delivery.message;
    assert_eq!(body, &[0, 1, 255]);
    let header = |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value).into_owned());
    assert_eq!(header("text").as_deref(), Some("grün"));
    assert_eq!((header("number").as_deref(), header("yes").as_deref()), (Some("5"), Some("true")));
    assert_eq!((content_type.as_deref(), correlation_id.as_deref()), (Some("image/x"), Some("c")));
    wait(delivery.ack()).unwrap();
    drop(consumer);
    wait(queue.send(&name, Message::from("from Rust").header("text", "blau"))).unwrap();
    let said = amqplib(
        &rabbit.url,
        &name,
        "await channel.assertQueue(queue, { durable: true });
         const message = await take();
         console.log(message.content.toString(), message.properties.headers.text.toString(), message.properties.deliveryMode);
         channel.ack(message);",
    );
    assert_eq!(said, "from Rust blau 2\n");
    assert_eq!(wait(queue.stats(&name)).unwrap().ready, 0);
    wait(queue.broker().delete(&name)).unwrap();
}

fn amqplib_on_a_queue_of_ours() {
    let Some(rabbit) = shared().filter(|_| is_here()) else { return };
    let queue = connect(&rabbit.url);
    let name = fresh(&queue);
    wait(queue.send(&name, "from Rust")).unwrap();
    let said = amqplib(
        &rabbit.url,
        &name,
        "const message = await take();
         console.log(message.content.toString(), message.fields.redelivered);
         channel.ack(message);
         for (let number = 0; number < 50; number++) channel.sendToQueue(queue, Buffer.from(`n${number}`), { persistent: true });",
    );
    assert_eq!(said, "from Rust false\n");
    let mut consumer = wait(queue.consume(&name, 10)).unwrap();
    for number in 0..50 {
        let delivery = next(&mut consumer);
        assert_eq!(delivery.message.body, format!("n{number}").into_bytes());
        wait(delivery.ack()).unwrap();
    }
}

fn headers_keep_their_types() {
    let Some(rabbit) = shared().filter(|_| is_here()) else { return };
    let queue = connect(&rabbit.url);
    let name = fresh(&queue);
    amqplib(
        &rabbit.url,
        &name,
        "channel.sendToQueue(queue, Buffer.from('x'), { headers: { number: 5, list: [1, 2], table: { a: true } } });",
    );
    let mut consumer = wait(queue.consume(&name, 1)).unwrap();
    wait(next(&mut consumer).nack(Requeue::After(Duration::from_millis(100)))).unwrap();
    let again = next(&mut consumer);
    let mut message = again.message.clone();
    message.headers.insert("number".to_owned(), b"6".to_vec());
    wait(again.replace(message, Requeue::Now)).unwrap();
    drop(consumer);
    let said = amqplib(
        &rabbit.url,
        &name,
        "const message = await take();
         const { number, list, table } = message.properties.headers;
         console.log(JSON.stringify([number.toString(), list, table]));
         channel.ack(message);",
    );
    assert_eq!(said, "[\"6\",[1,2],{\"a\":true}]\n");
}
