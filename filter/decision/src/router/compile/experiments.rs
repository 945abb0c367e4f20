//! Experiments: checked against the models and the layers that they name.

use std::collections::HashMap;
use std::sync::Arc;

use super::Compiler;
use crate::assign::{Salt, Share};
use crate::config::{self, Layer, Routing, ScalarText};
use crate::nearest::nearest;
use crate::router::entry::{Entry, Trial};
use crate::router::experiment::{Arm, Experiment, HoldOut};

impl Compiler<'_> {
    pub(super) fn experiments(&mut self, routing: &Routing, entries: &mut [Entry]) {
        for (index, layer) in routing.layers.iter().enumerate() {
            self.header_value(&layer.name, &format!("layers[{index}].name"));
            self.part(layer.hold_out, 100.0, &format!("layers[{index}].holdOut"));
            if routing.layers.iter().take(index).any(|other| other.name == layer.name) {
                self.fault(format!("layers[{index}].name"), format!("the layer '{}' already exists", layer.name));
            }
        }
        let by_name: HashMap<&str, usize> =
            routing.models.iter().enumerate().map(|(index, model)| (model.name.as_str(), index)).collect();
        for (index, experiment) in routing.experiments.iter().enumerate() {
            let path = format!("experiments[{index}]");
            let earlier = routing.experiments.get(..index).unwrap_or_default();
            self.beside_others(experiment, earlier, &path);
            let compiled = Arc::new(self.experiment(experiment, &routing.layers, &path));
            for (model, entry) in self.models_of(experiment, &by_name, &path) {
                let Some(entry) = entries.get_mut(entry) else { continue };
                let variants = self.arm_variants(experiment, model, entry, &path);
                entry.trials.push(Trial { experiment: compiled.clone(), variants });
            }
        }
    }

    fn experiment(&mut self, experiment: &config::Experiment, layers: &[Layer], path: &str) -> Experiment {
        self.header_value(&experiment.name, &format!("{path}.name"));
        if experiment.by.is_empty() {
            self.fault(format!("{path}.by"), "expected at least one key, such as {header: x-user-id}");
        }
        let keys = self.keys(&experiment.by, &format!("{path}.by"));
        let from = self.part(experiment.traffic.from, 100.0, &format!("{path}.traffic.from"));
        let to = self.part(experiment.traffic.to, 100.0, &format!("{path}.traffic.to"));
        if to < from {
            self.fault(format!("{path}.traffic.to"), "expected a percentage not below `from`");
        }
        let salt = experiment.salt.as_deref().unwrap_or(&experiment.name);
        let mut hold_outs = vec![HoldOut {
            salt: Salt::new(format!("hold-out:{salt}").as_bytes()),
            part: self.part(experiment.hold_out, 100.0, &format!("{path}.holdOut")),
        }];
        let layer_salt = match &experiment.layer {
            None => format!("traffic:{salt}"),
            Some(name) => match layers.iter().find(|layer| layer.name == *name) {
                Some(layer) => {
                    let salt = layer.salt.as_deref().unwrap_or(&layer.name);
                    let hold_out_salt = Salt::new(format!("layer hold-out:{salt}").as_bytes());
                    hold_outs.push(HoldOut { salt: hold_out_salt, part: layer.hold_out / 100.0 });
                    format!("layer:{salt}")
                }
                None => {
                    let meant = nearest(name, layers.iter().map(|layer| layer.name.as_str()));
                    let meant = meant.map(|name| format!("; did you mean '{name}'?")).unwrap_or_default();
                    self.fault(format!("{path}.layer"), format!("there is no layer '{name}'{meant}"));
                    String::new()
                }
            },
        };
        if experiment.arms.iter().all(|arm| arm.weight.0 == 0.0) {
            self.fault(format!("{path}.arms"), "expected a weight above 0 on at least one arm");
        }
        Experiment {
            name: experiment.name.as_bytes().to_vec(),
            keys,
            from,
            to,
            layer_salt: Salt::new(layer_salt.as_bytes()),
            hold_outs: hold_outs.into_iter().filter(|hold_out| hold_out.part > 0.0).collect(),
            salt: Salt::new(salt.as_bytes()),
            arms: self.arms(experiment, path),
            allow: sorted(&experiment.allow),
            deny: sorted(&experiment.deny),
        }
    }

    fn arms(&mut self, experiment: &config::Experiment, path: &str) -> Vec<Arm> {
        let mut arms = Vec::with_capacity(experiment.arms.len());
        for (index, arm) in experiment.arms.iter().enumerate() {
            let path = format!("{path}.arms[{index}]");
            self.header_value(&arm.name, &format!("{path}.name"));
            if experiment.arms.iter().take(index).any(|other| other.name == arm.name) {
                self.fault(format!("{path}.name"), format!("the arm '{}' already exists", arm.name));
            }
            arms.push(Arm {
                name: arm.name.as_bytes().to_vec(),
                share: Share::new(arm.name.as_bytes(), arm.weight.0),
                allow: sorted(&arm.allow),
            });
        }
        arms
    }

    /// Every model that an arm names, once.
    fn models_of<'e>(
        &mut self,
        experiment: &'e config::Experiment,
        by_name: &HashMap<&str, usize>,
        path: &str,
    ) -> Vec<(&'e str, usize)> {
        let mut models: Vec<(&str, usize)> = Vec::new();
        for (index, arm) in experiment.arms.iter().enumerate() {
            for model in arm.variants.keys() {
                if models.iter().any(|(known, _)| known == model) {
                    continue;
                }
                match by_name.get(model.as_str()) {
                    Some(entry) => models.push((model, *entry)),
                    None => {
                        let meant = nearest(model, by_name.keys().copied());
                        let meant = meant.map(|name| format!("; did you mean '{name}'?")).unwrap_or_default();
                        self.fault(
                            format!("{path}.arms[{index}].variants.{model}"),
                            format!("there is no model '{model}'{meant}"),
                        );
                    }
                }
            }
        }
        models
    }

    fn arm_variants(
        &mut self,
        experiment: &config::Experiment,
        model: &str,
        entry: &Entry,
        path: &str,
    ) -> Vec<Option<usize>> {
        let mut positions = Vec::with_capacity(experiment.arms.len());
        for (index, arm) in experiment.arms.iter().enumerate() {
            let path = format!("{path}.arms[{index}].variants");
            let Some(name) = arm.variants.get(model) else {
                // Its units would get any variant of the model, and the arms could not be compared.
                self.fault(path, format!("expected a variant for model '{model}', which other arms name"));
                positions.push(None);
                continue;
            };
            let position = entry.variants.iter().position(|variant| variant.name == name.as_bytes());
            if position.is_none() {
                let known = entry.variants.iter().filter_map(|variant| std::str::from_utf8(&variant.name).ok());
                let meant = nearest(name, known).map(|name| format!("; did you mean '{name}'?")).unwrap_or_default();
                self.fault(format!("{path}.{model}"), format!("model '{model}' has no variant '{name}'{meant}"));
            }
            positions.push(position);
        }
        positions
    }

    /// Experiments of one layer exclude each other, and those that are over one model must be in one layer.
    fn beside_others(&mut self, experiment: &config::Experiment, earlier: &[config::Experiment], path: &str) {
        for other in earlier {
            if other.name == experiment.name {
                self.fault(format!("{path}.name"), format!("the experiment '{}' already exists", experiment.name));
            }
            if experiment.layer.is_some() && experiment.layer == other.layer {
                let (mine, its) = (experiment.traffic, other.traffic);
                if mine.from < its.to && its.from < mine.to {
                    self.fault(
                        format!("{path}.traffic"),
                        format!(
                            "overlaps with experiment '{}' of the same layer: {} to {}",
                            other.name, its.from, its.to
                        ),
                    );
                }
                continue;
            }
            let models = |it: &config::Experiment| {
                it.arms.iter().flat_map(|arm| arm.variants.keys().cloned()).collect::<Vec<_>>()
            };
            let its = models(other);
            if let Some(shared) = models(experiment).into_iter().find(|model| its.contains(model)) {
                self.fault(
                    format!("{path}.layer"),
                    format!("experiment '{}' is over model '{shared}' too: put both into one layer", other.name),
                );
            }
        }
    }
}

fn sorted(units: &[ScalarText]) -> Vec<Vec<u8>> {
    let mut units: Vec<Vec<u8>> = units.iter().map(|unit| unit.0.as_bytes().to_vec()).collect();
    units.sort_unstable();
    units
}
