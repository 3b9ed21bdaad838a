//! The programs that the tests start, each a small cluster.

use std::convert::Infallible;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use phalanx_cluster::{Cluster, DoNotRestart, Event, Primary, Worker, cluster};
use tower::ServiceExt;

use crate::orders;

pub(crate) type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Runs the program of this name and exits.
pub(crate) fn run(name: &str) {
    orders::begin();
    let result = match name {
        "server" => server().run(serve),
        "spoilt" => server().run(|worker| async move {
            match std::env::var_os("TEST_SPOILED").is_some_and(|file| std::path::Path::new(&file).exists()) {
                true => Err("spoiled".into()),
                false => serve(worker).await,
            }
        }),
        "quick-drain" => server().drain_deadline(Duration::from_millis(300)).run(serve),
        "early-thread" => {
            std::thread::spawn(|| {
                loop {
                    std::thread::park();
                }
            });
            server().run(serve)
        }
        "impatient" => server().run(|worker| async move {
            let http =
                worker.http().header_timeout(Duration::from_millis(300)).idle_timeout(Duration::from_millis(300));
            Ok(http.serve(service(&worker)).await?)
        }),
        "fails-at-start" => server().run(|_| async { Err("the folder is not writable".into()) }),
        "crashes-at-start" => server().run(|worker| async move {
            if worker.place().0 == 0 {
                std::process::abort()
            }
            serve(worker).await
        }),
        "panicking-primary" => server().primary(|_| async { panic!("user code") }).run(serve),
        "messages" => server().workers(1).primary(messages_primary).run(messages_worker),
        "forks" => server().workers(0).primary(forks_primary).run(serve),
        "without-init" => without_init(),
        "http" => crate::http_programs::run(),
        "orders-one-gives-up" => orders::cluster("").workers(3).run(|worker| async {
            match worker.place().0 {
                2 if worker.settings() == b"ok" => Err(DoNotRestart::because("told so").into()),
                _ => orders::work(worker).await,
            }
        }),
        name if name.starts_with("orders") => {
            orders::cluster(name.trim_start_matches("orders").trim_start_matches('-')).run(orders::work)
        }
        leaks if leaks.starts_with("leaks-") => crate::leaks::run(leaks),
        messages if messages.starts_with("messages-") => crate::messages_programs::run(messages),
        #[cfg(feature = "control")]
        other => crate::front::run(other).unwrap_or_else(|| panic!("unknown program {other}")),
        #[cfg(not(feature = "control"))]
        other => panic!("unknown program {other}"),
    };
    if let Err(error) = result {
        eprintln!("error: {error}");
        std::process::exit(error.exit_code().into());
    }
    std::process::exit(0);
}

pub(crate) fn server() -> Cluster {
    let setting = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.into());
    let workers = setting("TEST_WORKERS", "2").parse().unwrap();
    let distribution = setting("TEST_DISTRIBUTION", "shared").parse().unwrap();
    let cluster = cluster().workers(workers).distribute(distribution).on_event(|event| println!("{event}"));
    setting("TEST_ADDRESS", "127.0.0.1:0").split_whitespace().fold(cluster, Cluster::listen)
}

async fn serve(worker: Worker) -> Result<(), AnyError> {
    let service = service(&worker);
    Ok(worker.http().serve(service).await?)
}

/// As [`serve`], with an answer to `/settings` and one to `/readyz`.
pub(crate) async fn serve_as(worker: Worker, settings: String) -> Result<(), AnyError> {
    let others = service(&worker);
    let service = tower::service_fn(move |request: Request<Incoming>| {
        let (settings, others) = (settings.clone(), others.clone());
        async move {
            match request.uri().path() {
                "/settings" => Ok(Response::new(Full::from(settings))),
                "/version" => Ok(Response::new(Full::from(orders::version()))),
                "/readyz" if settings.starts_with("unhealthy") => {
                    Ok(Response::builder().status(503).body(Full::from("not today")).unwrap())
                }
                _ => others.oneshot(request).await,
            }
        }
    });
    Ok(worker.http().serve(service).await?)
}

/// `/` tells the pid; `/slow?ms` waits without holding the event loop; `/spin` holds it for 300 µs; `/hang` for ever;
/// `/eat` takes 100 MiB; `/grow` takes more and more, `/grow-in-a-child` in a process of its own;
/// `/refuse` answers 503 without reading the body; `/read` reads it.
fn service(
    worker: &Worker,
) -> impl tower_service::Service<Request<Incoming>, Response = Response<Full<Bytes>>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static
+ use<> {
    let pid = worker.pid();
    tower::service_fn(move |request: Request<Incoming>| async move {
        let mut status = 200;
        let mut text = pid.to_string();
        match request.uri().path() {
            "/slow" => {
                let millis = request.uri().query().and_then(|query| query.parse().ok()).unwrap_or(0);
                tokio::time::sleep(Duration::from_millis(millis)).await;
            }
            "/spin" => {
                let until = std::time::Instant::now() + Duration::from_micros(300);
                while std::time::Instant::now() < until {
                    std::hint::spin_loop();
                }
            }
            "/hang" => stuck_for_ever(),
            "/eat" => std::mem::forget(std::hint::black_box(vec![1u8; 100 << 20])),
            "/grow" => drop(std::thread::spawn(grow_for_ever)),
            "/grow-in-a-child" => {
                // The last lines of something that has no end of a line.
                let child =
                    tokio::task::spawn_blocking(|| std::process::Command::new("tail").arg("/dev/zero").status());
                let status = child.await.ok().and_then(Result::ok);
                assert_eq!(status.and_then(|status| std::os::unix::process::ExitStatusExt::signal(&status)), Some(9));
            }
            "/refuse" => status = 503,
            "/read" => {
                text = request.into_body().collect().await.map_or(0, |body| body.to_bytes().len()).to_string();
            }
            _ => {}
        }
        Ok(Response::builder().status(status).body(Full::from(text)).unwrap())
    })
}

/// As a leak does, only faster: some 200 MiB a second.
fn grow_for_ever() {
    loop {
        std::mem::forget(std::hint::black_box(vec![1u8; 1 << 20]));
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Known by its name in a dump of stacks.
#[inline(never)]
fn stuck_for_ever() {
    loop {
        std::thread::park();
    }
}

async fn messages_primary(primary: Primary) -> Result<(), AnyError> {
    let mut events = primary.events();
    let mut order = Vec::new();
    while let Some(event) = events.next().await {
        order.push(match &event {
            Event::Fork { worker, .. } => {
                primary.send(*worker, &vec![1u32, 2, 3]).await?;
                "fork"
            }
            Event::Online { .. } => "online",
            Event::Ready { .. } => "ready",
            Event::Message { message, .. } => {
                println!("result {:?}", message.decode::<Vec<u32>>()?);
                "message"
            }
            Event::Exit { .. } => "exit",
            other => panic!("unexpected: {other}"),
        });
        if order.last() == Some(&"exit") {
            break;
        }
    }
    println!("order {order:?}");
    Ok(())
}

async fn messages_worker(worker: Worker) -> Result<(), AnyError> {
    worker.ready();
    let numbers: Vec<u32> = worker.recv().await?.ok_or("no message")?;
    for factor in [2, 3] {
        worker.send(&numbers.iter().map(|n| n * factor).collect::<Vec<_>>()).await?;
    }
    Ok(())
}

async fn forks_primary(primary: Primary) -> Result<(), AnyError> {
    let mut events = primary.events();
    let worker = primary.fork([("TEST_FORKED", "yes")]).await?;
    let second = primary.fork::<String, String>([]).await?;
    assert_eq!((worker.get(), second.get()), (1, 2));
    let mut ready = 0;
    while let Some(event) = events.next().await {
        match event {
            Event::Ready { .. } => {
                ready += 1;
                if ready == 2 {
                    let pid = primary.workers().iter().find(|info| info.id == worker).ok_or("no worker")?.pid;
                    let environment = std::fs::read(format!("/proc/{pid}/environ"))?;
                    let has = environment.split(|byte| *byte == 0).any(|entry| entry == b"TEST_FORKED=yes");
                    println!("environment {has}, workers {}", primary.workers().len());
                    primary.disconnect(worker)?;
                }
            }
            Event::Exit { worker: gone, reason, .. } => {
                println!("exit {gone} voluntary {}", reason.voluntary);
                if gone == worker {
                    primary.disconnect_all()?;
                } else {
                    return Ok(());
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// What a program does that forgot `init`: this one plays it by asking before it was called.
fn without_init() -> Result<(), phalanx_cluster::Error> {
    // `init` was called by `main` above; a second cluster inside a worker is the other mistake of this kind.
    server().workers(1).run(|_| async {
        match cluster().workers(1).run(|_| async { Ok(()) }) {
            Err(error) => Err(error.into()),
            Ok(()) => Ok(()),
        }
    })
}
