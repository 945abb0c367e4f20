use super::*;
use crate::residency::ResidencyOptions;
use crate::testing::{self, Echo};

fn metrics(catalogue: &Catalogue, models: usize) -> Metrics {
    Metrics::new(catalogue.residency(), &MetricsOptions { models, has_modelmesh_names: true }).unwrap()
}

fn text(metrics: &Metrics, catalogue: &Catalogue) -> String {
    String::from_utf8(metrics.text(catalogue).unwrap()).unwrap()
}

fn success(account: &Account) {
    account.ended(Outcome::Success, Duration::from_micros(1500), Measured::default());
}

#[test]
fn a_models_numbers_and_the_stock_of_models_are_in_the_text() {
    let catalogue = testing::everything();
    let metrics = metrics(&catalogue, 100);
    let account = metrics.open_account("sum", Some("2"));
    account.executed(3);
    account.executed(1);
    let measured =
        Measured { queued: Duration::from_micros(200), computed: Duration::from_nanos(700_500), ..Measured::default() };
    account.counters().is_timed_now();
    account.ended(Outcome::Success, Duration::from_micros(1500), measured);
    account.ended(Outcome::Backend, Duration::from_micros(500), measured);
    account.ended(Outcome::Canceled, Duration::from_millis(500), measured);
    account.responded_first(Duration::from_millis(150));
    metrics.in_flight().inc();
    let text = text(&metrics, &catalogue);
    for line in [
        "nv_inference_request_success{model=\"sum\",version=\"2\"} 1",
        "nv_inference_request_failure{model=\"sum\",version=\"2\",reason=\"REJECTED\"} 0",
        "nv_inference_request_failure{model=\"sum\",version=\"2\",reason=\"CANCELED\"} 1",
        "nv_inference_request_failure{model=\"sum\",version=\"2\",reason=\"BACKEND\"} 1",
        "nv_inference_request_failure{model=\"sum\",version=\"2\",reason=\"OTHER\"} 0",
        "nv_inference_count{model=\"sum\",version=\"2\"} 4",
        "nv_inference_exec_count{model=\"sum\",version=\"2\"} 2",
        // Of the successful one.
        "nv_inference_request_duration_us{model=\"sum\",version=\"2\"} 1500",
        "nv_inference_queue_duration_us{model=\"sum\",version=\"2\"} 200",
        "nv_inference_compute_infer_duration_us{model=\"sum\",version=\"2\"} 700",
        "nv_inference_pending_request_count{model=\"sum\",version=\"2\"} 0",
        "nv_inference_first_response_histogram_ms_bucket{model=\"sum\",version=\"2\",le=\"100\"} 0",
        "nv_inference_first_response_histogram_ms_bucket{model=\"sum\",version=\"2\",le=\"500\"} 1",
        "nv_inference_first_response_histogram_ms_sum{model=\"sum\",version=\"2\"} 150",
        "modelway_inference_duration_seconds_bucket{model=\"sum\",version=\"2\",le=\"0.0005\"} 1",
        "modelway_inference_duration_seconds_bucket{model=\"sum\",version=\"2\",le=\"0.0025\"} 2",
        "modelway_inference_duration_seconds_bucket{model=\"sum\",version=\"2\",le=\"+Inf\"} 3",
        "modelway_inference_duration_seconds_sum{model=\"sum\",version=\"2\"} 0.502",
        "modelway_inference_duration_seconds_count{model=\"sum\",version=\"2\"} 3",
        "modelway_inference_requests_total{outcome=\"success\"} 1",
        "modelway_inference_requests_total{outcome=\"canceled\"} 1",
        "modelway_inference_rows_total 4",
        "modelway_model_resident_bytes{model=\"sum\",version=\"\"} 4096",
        "modelway_models{state=\"ready\"} 7",
        "modelway_models{state=\"failed\"} 0",
        "modelway_inferences_in_flight 1",
        "modelway_inferences_queued 0",
        "modelmesh_models_loaded_total 7",
        "modelmesh_models_managed_total 7",
        // Three sums, and two echoes of 11 bytes.
        "modelmesh_instance_used_bytes 12310",
        "# TYPE modelmesh_loadmodel_milliseconds histogram",
        "# TYPE modelmesh_loadmodel_failure counter",
        "# TYPE modelmesh_instance_lru_age_seconds gauge",
    ] {
        assert!(text.lines().any(|written| written == line), "{line} is not in\n{text}");
    }
}

#[test]
fn labels_are_escaped_and_every_series_stands_once_below_its_type() {
    let catalogue = Catalogue::of([("a \"b\" \\ \n c", None, Echo::model()), ("other", None, Echo::model())]);
    let metrics = metrics(&catalogue, 1);
    let text = text(&metrics, &catalogue);
    assert!(text.contains(r#"nv_inference_request_success{model="a \"b\" \\ \n c",version=""} 0"#), "{text}");
    let mut seen = std::collections::BTreeSet::new();
    let mut family = String::new();
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("# TYPE ") {
            family = head.split(' ').next().unwrap().to_owned();
        } else if !line.starts_with('#') {
            let (series, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            assert!(line.starts_with(&family), "{line} is below {family}");
            assert!(seen.insert(series.to_owned()), "{series} stands there twice");
        }
    }
}

#[test]
fn a_models_series_go_with_it_and_the_totals_stay() {
    let catalogue = Catalogue::of([("a", None, Echo::model())]);
    let metrics = metrics(&catalogue, 100);
    let old = metrics.open_account("a", Some("1"));
    success(&old);
    // Its changed files are in memory before the old ones have gone.
    let new = metrics.open_account("a", Some("1"));
    drop(old);
    success(&new);
    let series = "nv_inference_request_success{model=\"a\",version=\"1\"}";
    assert!(text(&metrics, &catalogue).contains(&format!("{series} 2\n")));
    drop(new);
    assert!(!text(&metrics, &catalogue).contains(series));
    let back = metrics.open_account("a", Some("1"));
    success(&back);
    let text = text(&metrics, &catalogue);
    assert!(text.contains(&format!("{series} 1\n")));
    assert!(text.contains("modelway_inference_requests_total{outcome=\"success\"} 3\n"));
}

#[test]
fn so_many_models_have_series_of_their_own_and_the_rest_share_some() {
    let catalogue = Catalogue::of([("a", None, Echo::model())]);
    let metrics = metrics(&catalogue, 2);
    let accounts: Vec<_> = ["a", "b", "c", "d"].map(|name| metrics.open_account(name, None)).into();
    accounts.iter().for_each(success);
    let successes = |model: &str| {
        let line = format!("nv_inference_request_success{{model=\"{model}\",version=\"\"}} ");
        text(&metrics, &catalogue).lines().find_map(|written| written.strip_prefix(&line)?.parse::<u64>().ok())
    };
    assert_eq!(["a", "b", "c", "other"].map(successes), [Some(1), Some(1), None, Some(2)]);
    drop(accounts);
    // Room again; `a` is in memory.
    let late = metrics.open_account("d", None);
    success(&late);
    assert_eq!(["b", "d", "other"].map(successes), [None, Some(1), None]);
}

#[test]
fn with_twenty_thousand_models_a_scrape_stays_small_and_quick() {
    const MODELS: usize = 20_000;
    let models = (0..MODELS).map(|number| (format!("model-{number:05}"), None, Echo::model()));
    let catalogue = Catalogue::of(models);
    let metrics = metrics(&catalogue, 200);
    let began = std::time::Instant::now();
    let text = text(&metrics, &catalogue);
    let took = began.elapsed();
    // A busy machine is slow, but not a hundred times.
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(text.len() < 1 << 20, "{} bytes", text.len());
    let own = text.lines().filter(|line| line.starts_with("nv_inference_request_success{")).count();
    assert_eq!(own, 201);
    // All are in the sum of those that share.
    let bytes: u64 = text
        .lines()
        .filter(|line| line.starts_with("modelway_model_resident_bytes{"))
        .map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap())
        .sum();
    assert_eq!(bytes, 11 * MODELS as u64);
}

#[tokio::test]
async fn loads_and_evictions_have_modelmeshs_names_too_unless_modelmesh_tells_them() {
    let folder = tempfile::TempDir::new().unwrap();
    let data =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/sklearn/variants/big-endian.joblib");
    for name in ["a", "b"] {
        std::fs::copy(&data, folder.path().join(format!("{name}.joblib"))).unwrap();
    }
    std::fs::write(folder.path().join("bad.joblib"), "rubbish").unwrap();
    // Room for one.
    let options = ResidencyOptions {
        memory: 4000,
        guard_age: Some(Duration::ZERO),
        poll_interval: None,
        ..ResidencyOptions::default()
    };
    let catalogue = Catalogue::open(
        folder.path(),
        crate::formats::builtin(crate::DeviceChoice::On(crate::Device::Cpu)).unwrap(),
        options,
    )
    .unwrap();
    let metrics = metrics(&catalogue, 100);
    for (name, is_good) in [("a", true), ("b", true), ("bad", false)] {
        assert_eq!(catalogue.find(name, None).await.is_ok(), is_good, "{name}");
    }
    let text = text(&metrics, &catalogue);
    for line in [
        "modelmesh_loadmodel_milliseconds_count 2",
        "modelmesh_loadmodel_failure 1",
        "modelmesh_model_evicted 1",
        "modelmesh_age_at_eviction_milliseconds_count 1",
        "modelmesh_loaded_model_size_bytes_count 2",
        "modelmesh_loaded_model_size_bytes_sum 4586",
        "modelmesh_cache_miss_milliseconds_count 3",
        "modelmesh_loading_queue_delay_milliseconds_count 3",
        "modelmesh_models_loaded_total 1",
        "modelmesh_models_managed_total 3",
        "modelmesh_models_with_failure_total 1",
        "modelmesh_instance_capacity_bytes 4000",
        "modelmesh_instance_used_bytes 2293",
        "modelmesh_instance_used_bps 5732",
        "modelway_memory_share 0.57325",
        "modelway_requests_waiting_for_load 0",
    ] {
        assert!(text.lines().any(|written| written == line), "{line} is not in\n{text}");
    }
    let other = Catalogue::of([("a", None, Echo::model())]);
    let without = MetricsOptions { models: 100, has_modelmesh_names: false };
    let without = Metrics::new(other.residency(), &without).unwrap();
    assert!(!String::from_utf8(without.text(&other).unwrap()).unwrap().contains("modelmesh"));
}
