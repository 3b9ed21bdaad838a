//! Jobs in PostgreSQL by hand: a table, `SKIP LOCKED`, one connection for each client.

use std::time::Instant;

use futures_util::future::try_join_all;
use measuring::{During, Failure};
use tokio_postgres::{NoTls, Statement};

use crate::tally::Tally;
use crate::{Client, PAYLOAD_BYTES};

/// One client: its connection and its three statements.
struct Hand {
    connection: tokio_postgres::Client,
    insert: Statement,
    claim: Statement,
    finish: Statement,
}

pub(crate) async fn run(client: &Client) -> Result<(), Failure> {
    let table = client.name.replace('-', "_");
    let hands = try_join_all((0..client.clients).map(|_| Hand::new(&client.url, &table))).await?;
    let tally = client.tally()?;
    try_join_all(hands.iter().map(|hand| hand.again_and_again(&tally))).await?;
    tally.print();
    Ok(())
}

impl Hand {
    async fn new(url: &str, table: &str) -> Result<Self, Failure> {
        let (connection, traffic) = tokio_postgres::connect(url, NoTls).await.during("connect to PostgreSQL")?;
        tokio::spawn(traffic);
        // Whoever comes first makes it; the lock keeps the others from making it at the same time.
        let make = format!(
            "BEGIN; SELECT pg_advisory_xact_lock(7);
             CREATE TABLE IF NOT EXISTS {table} (id BIGSERIAL PRIMARY KEY, taken BOOLEAN NOT NULL DEFAULT FALSE,
                                                 body BYTEA NOT NULL, result BYTEA);
             CREATE INDEX IF NOT EXISTS {table}_ready ON {table} (id) WHERE NOT taken;
             COMMIT"
        );
        connection.batch_execute(&make).await.during("make a table")?;
        let insert = format!("INSERT INTO {table} (body) VALUES ($1)");
        let claim = format!(
            "UPDATE {table} SET taken = TRUE WHERE id =
             (SELECT id FROM {table} WHERE NOT taken ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 1) RETURNING id"
        );
        let finish = format!("UPDATE {table} SET result = $2 WHERE id = $1");
        let prepare = async |text: &str| connection.prepare(text).await.during("prepare a statement");
        let (insert, claim, finish) = (prepare(&insert).await?, prepare(&claim).await?, prepare(&finish).await?);
        Ok(Self { connection, insert, claim, finish })
    }

    /// The job that is claimed may be another client's.
    async fn again_and_again(&self, tally: &Tally) -> Result<(), Failure> {
        let body = [b'x'; PAYLOAD_BYTES];
        while tally.goes_on() {
            let start = Instant::now();
            self.connection.execute(&self.insert, &[&&body[..]]).await.during("insert a job")?;
            tally.enqueued(start);
            // There are as many jobs as clients that look for one, but another client may have skipped past ours.
            let job: i64 = loop {
                if let Some(row) = self.connection.query_opt(&self.claim, &[]).await.during("claim a job")? {
                    break row.get(0);
                }
            };
            self.connection.execute(&self.finish, &[&job, &&body[..]]).await.during("finish a job")?;
            tally.done(start);
        }
        Ok(())
    }
}
