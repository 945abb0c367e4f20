use super::*;
use crate::testing;

#[test]
fn a_models_numbers_and_the_stock_of_models_are_in_the_text() {
    let metrics = Metrics::new(testing::everything().residency()).unwrap();
    let counters = metrics.of_model("sum", Some("2"));
    counters.executed(3);
    counters.ended(true, Duration::from_micros(1500));
    counters.ended(false, Duration::from_micros(500));
    metrics.in_flight().inc();
    let text = String::from_utf8(metrics.text(&testing::everything().listings()).unwrap()).unwrap();
    for line in [
        "nv_inference_request_success{model=\"sum\",version=\"2\"} 1",
        "nv_inference_request_failure{model=\"sum\",version=\"2\"} 1",
        "nv_inference_count{model=\"sum\",version=\"2\"} 3",
        "nv_inference_exec_count{model=\"sum\",version=\"2\"} 1",
        "nv_inference_request_duration_us{model=\"sum\",version=\"2\"} 2000",
        "modelway_inference_duration_seconds_count{model=\"sum\",version=\"2\"} 2",
        "modelway_model_resident_bytes{model=\"sum\",version=\"\"} 4096",
        "modelway_models{state=\"ready\"} 7",
        "modelway_models{state=\"failed\"} 0",
        "modelway_inferences_in_flight 1",
    ] {
        assert!(text.lines().any(|written| written == line), "{line} is not in\n{text}");
    }
}
