//! Runtimes that die, come, freeze and are restarted, under load.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use modelway_tests::client;
use modelway_tests::gateway::Part;
use modelway_tests::mesh::{Event, Mesh, OpenStream, PATIENCE, Question, Setup, Size, Traffic, Wire, until};

use crate::{models, phase};

const MODELS: u32 = 32;
const RATE: u32 = 40;
/// A hit ratio of nine in ten within this time, on a busy machine, too.
const RECOVERED: Duration = Duration::from_secs(20);

async fn traffic(mesh: &Mesh) -> Result<Traffic> {
    // Each model by every wire and size.
    let question = |number: u64| {
        let model = (number / 7 + number) % u64::from(MODELS);
        Question::mixed(&format!("model-{model:03}"), number)
    };
    let traffic = mesh.traffic(RATE, question).await?;
    recovered(mesh, &traffic).await?;
    Ok(traffic)
}

/// Waits until of 50 requests 45 find their model in memory, and gives the time from now.
async fn recovered(mesh: &Mesh, traffic: &Traffic) -> Result<Duration> {
    let started = Instant::now();
    loop {
        let (answered, loads) = (traffic.answered(), loads(mesh).await);
        traffic.wait_for(50).await?;
        let (answered, loads) = (traffic.answered() - answered, self::loads(mesh).await - loads);
        if loads <= answered as f64 / 10.0 {
            return Ok(started.elapsed());
        }
        ensure!(started.elapsed() < RECOVERED, "still {loads} loads in {answered} requests");
    }
}

async fn loads(mesh: &Mesh) -> f64 {
    mesh.total("modelway_model_load_seconds_count").await
}

/// A stream that has been answered once.
async fn open_stream(mesh: &Mesh, model: &str) -> Result<(OpenStream, Question)> {
    let question = Question::new(model, Wire::Grpc, Size::Small);
    let mut stream = OpenStream::open(mesh.gateway(), &question).await?;
    answered(mesh, &mut stream, &question).await?;
    Ok((stream, question))
}

async fn answered(mesh: &Mesh, stream: &mut OpenStream, question: &Question) -> Result<()> {
    match stream.next().await? {
        Event::Message(message) => {
            let tag = question.tag_in_stream(&message)?;
            ensure!(Some(tag) == mesh.tag(&question.model), "the stream was answered by the tag {tag}");
            Ok(())
        }
        other => anyhow::bail!("the stream gave {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stdout, reason = "the figures that docs/mesh.md has")]
async fn a_killed_an_added_and_a_frozen_runtime_fail_no_request() -> Result<()> {
    let mut mesh = Mesh::start(Setup::default(), &models(MODELS)).await?;
    let traffic = traffic(&mesh).await?;
    let started = Instant::now();
    loop {
        one_is_killed_and_replaced(&mut mesh, &traffic).await?;
        one_is_frozen_for_a_while(&mut mesh, &traffic).await?;
        if started.elapsed() >= phase(Duration::ZERO) {
            break;
        }
    }
    let asked = traffic.finish().await?;
    mesh.all_answered(&asked)?;
    let slowest = asked.iter().map(|asked| asked.answered - asked.sent).max().unwrap_or_default();
    println!("{} requests, none failed, the slowest took {slowest:?}", asked.len());
    Ok(())
}

/// A runtime dies while it answers a stream. The stream ends with an error, everything else goes on.
#[allow(clippy::print_stdout, reason = "the figures that docs/mesh.md has")]
async fn one_is_killed_and_replaced(mesh: &mut Mesh, traffic: &Traffic) -> Result<()> {
    let model = "model-000";
    let (mut stream, question) = open_stream(mesh, model).await?;
    let home = home_of(mesh, &mut stream, &question).await?;
    mesh.runtime(home)?.kill()?;
    let killed = Instant::now();
    let end = stream.next().await?;
    ensure!(is_an_error(&end), "the stream went on with {end:?}");
    let stream_ended = killed.elapsed();
    mesh.until_healthy(3).await?;
    let noticed = killed.elapsed();
    let hits_again = noticed + recovered(mesh, traffic).await?;
    mesh.remove(home)?;
    ensure!(!mesh.holders(model).await?.is_empty(), "{model} has not moved");
    println!("killed: the stream ended after {stream_ended:?} with {end:?}");
    println!("killed: noticed after {noticed:?}, hits again after {hits_again:?}");

    mesh.add(&[]).await?;
    let added = Instant::now();
    mesh.until_healthy(4).await?;
    let hits_again = added.elapsed() + recovered(mesh, traffic).await?;
    let moved = mesh.runtimes().last().context("the one that was added")?.resident().await?;
    ensure!(!moved.is_empty(), "the runtime that was added serves nothing");
    println!("added: {} models moved to it, hits again after {hits_again:?}", moved.len());
    Ok(())
}

/// A runtime hangs, and later goes on. A stream that it answered ends with an error.
#[allow(clippy::print_stdout, reason = "the figures that docs/mesh.md has")]
async fn one_is_frozen_for_a_while(mesh: &mut Mesh, traffic: &Traffic) -> Result<()> {
    let (mut stream, question) = open_stream(mesh, "model-001").await?;
    let home = home_of(mesh, &mut stream, &question).await?;
    mesh.runtime(home)?.freeze().await?;
    let frozen = Instant::now();
    stream.say(&question)?;
    let end = stream.next().await?;
    ensure!(is_an_error(&end), "the stream went on with {end:?}");
    let stream_ended = frozen.elapsed();
    mesh.until_healthy(3).await?;
    let noticed = frozen.elapsed();
    let hits_again = noticed + recovered(mesh, traffic).await?;
    mesh.runtime(home)?.thaw()?;
    mesh.until_healthy(4).await?;
    recovered(mesh, traffic).await?;
    println!("frozen: the stream ended after {stream_ended:?} with {end:?}");
    println!("frozen: noticed after {noticed:?}, hits again after {hits_again:?}");
    Ok(())
}

fn is_an_error(end: &Event) -> bool {
    match end {
        Event::Message(_) => false,
        Event::Ended(status, _) => status != "0",
        Event::Broken(_) => true,
    }
}

/// The place of the runtime that answers a stream: the one that has answered the most of some messages.
async fn home_of(mesh: &Mesh, stream: &mut OpenStream, question: &Question) -> Result<usize> {
    let answers = format!(r#"nv_inference_request_success{{model="{}",version=""}}"#, question.model);
    let counts = async || {
        let mut counts = Vec::new();
        for runtime in mesh.runtimes() {
            counts.push(runtime.metrics().await?.sum(&answers));
        }
        anyhow::Ok(counts)
    };
    let before = counts().await?;
    for _ in 0..50 {
        stream.say(question)?;
        answered(mesh, stream, question).await?;
    }
    let after = counts().await?;
    let grown = after.iter().zip(&before).map(|(after, before)| after - before).enumerate();
    let most = grown.max_by(|(_, one), (_, other)| one.total_cmp(other));
    most.map(|(place, _)| place).context("there are no runtimes")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_runtime_dies_while_it_is_uploaded_is_answered_by_another() -> Result<()> {
    let mut mesh = Mesh::start(Setup::default(), &models(1)).await?;
    for wire in [Wire::Rest, Wire::Grpc] {
        let question = Question::new("model-000", wire, Size::Large);
        mesh.ask(&Question::new("model-000", wire, Size::Small)).await?;
        let places = mesh.holders("model-000").await?;
        let mut request = question.request();
        let body = request.body_bytes();
        let (first, rest) = body.split_at(body.len() / 2);
        request.body = vec![
            Part { after: Duration::ZERO, bytes: first.to_vec() },
            Part { after: Duration::from_secs(3), bytes: rest.to_vec() },
        ];
        let retried = mesh.cluster_stat("upstream_rq_retry_success").await?;
        let answer = tokio::spawn(client::send(mesh.gateway(), request));
        until("the upload has begun", PATIENCE, async || {
            ensure!(mesh.cluster_stat("upstream_rq_active").await? > 0, "nothing is in flight");
            Ok(())
        })
        .await?;
        // Whichever has it by now.
        for place in places.into_iter().rev() {
            mesh.runtime(place)?.kill()?;
            mesh.remove(place)?;
        }
        question.check(&answer.await??, mesh.tag("model-000")).with_context(|| format!("{wire:?}"))?;
        let retries = mesh.cluster_stat("upstream_rq_retry_success").await? - retried;
        ensure!(retries == 1, "{wire:?}: its runtime has not died in time");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stdout, reason = "the figures that docs/mesh.md has")]
async fn a_rolling_restart_fails_no_request() -> Result<()> {
    let grace = ["--drain-grace", "3s", "--drain-timeout", "30s"];
    let mut mesh = Mesh::start(Setup::default().serve(&grace), &models(MODELS)).await?;
    let traffic = traffic(&mesh).await?;
    let started = Instant::now();
    for round in 0..4 {
        // As a Deployment does it: the successor first.
        mesh.add(&[]).await?;
        mesh.until_healthy(5).await?;
        let streams = if round == 0 { streams_on(&mesh, 0).await? } else { Vec::new() };
        mesh.runtime(0)?.terminate()?;
        mesh.until_healthy(4).await?;
        for (mut stream, question) in streams {
            // A stream goes on while its runtime drains.
            stream.say(&question)?;
            answered(&mesh, &mut stream, &question).await?;
            stream.end();
            let end = stream.next().await?;
            ensure!(matches!(&end, Event::Ended(status, _) if status == "0"), "the stream ended with {end:?}");
        }
        let status = mesh.runtime(0)?.ended(PATIENCE).await?;
        ensure!(status.success(), "{status}: {}", mesh.runtimes()[0].log());
        mesh.remove(0)?;
        mesh.until_healthy(4).await?;
    }
    let took = started.elapsed();
    recovered(&mesh, &traffic).await?;
    let asked = traffic.finish().await?;
    mesh.all_answered(&asked)?;
    // Not even Envoy has seen one fail: who is to stop goes on until it is noticed.
    for counter in ["upstream_cx_connect_fail", "upstream_rq_pending_failure_eject"] {
        let failures = mesh.cluster_stat(counter).await?;
        ensure!(failures == 0, "{counter}: {failures}");
    }
    let retries = mesh.cluster_stat("upstream_rq_retry").await?;
    println!("{} requests during a rolling restart of four in {took:?}, none failed, {retries} retries", asked.len());
    Ok(())
}

/// Streams for all models that this runtime has in memory: it answers most of them.
async fn streams_on(mesh: &Mesh, place: usize) -> Result<Vec<(OpenStream, Question)>> {
    let mut streams = Vec::new();
    for model in mesh.resident().await?.get(place).context("no such runtime")? {
        streams.push(open_stream(mesh, model).await?);
    }
    ensure!(!streams.is_empty(), "the runtime {place} has no model in memory");
    Ok(streams)
}
