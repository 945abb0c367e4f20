//! A listed model: its variants, and which of them a call gets.

use std::sync::Arc;

use super::experiment::{Experiment, Membership};
use super::key::{Key, Keys};
use super::positions::Positions;
use super::split::Split;
use super::why::{Exposure, Reason};
use crate::assign::{Salt, Unit};
use crate::brake::{Gate, Guard, Passage};
use crate::config::Protocol;
use crate::header::Headers;
use crate::matcher::{Facts, Matcher, Verdict};
use crate::message::{Message, Needs};

#[derive(Debug)]
pub(super) struct Entry {
    /// Without the `*` of a pattern.
    pub(super) name: Vec<u8>,
    pub(super) is_pattern: bool,
    pub(super) labels: Vec<(Vec<u8>, Vec<u8>)>,
    /// At least one.
    pub(super) variants: Vec<Variant>,
    /// What a call gets that names no version.
    pub(super) default: Positions,
    pub(super) split: Split,
    pub(super) salt: Salt,
    pub(super) keys: Keys,
    /// The cookie that is set where there is no key.
    pub(super) cookie: Option<CookieSettings>,
    pub(super) rules: Vec<Rule>,
    pub(super) trials: Vec<Trial>,
    pub(super) shadow: Option<Shadow>,
    pub(super) latency_histogram: bool,
    /// Whether anything here may look into a body.
    pub(super) reads_bodies: bool,
}

#[derive(Debug)]
pub(super) struct Variant {
    /// Among all variants of the configuration.
    pub(super) number: u32,
    pub(super) name: Vec<u8>,
    pub(super) model: Option<Vec<u8>>,
    pub(super) version: Option<Vec<u8>>,
    pub(super) version_labels: Vec<Vec<u8>>,
    pub(super) pool: Option<Vec<u8>>,
    pub(super) affinity: Option<Vec<u8>>,
    pub(super) cluster: Option<Vec<u8>>,
    pub(super) authority: Option<Vec<u8>>,
    pub(super) brake: Option<Brake>,
}

/// A guarded variant's brake.
#[derive(Debug)]
pub(super) struct Brake {
    /// Its number among all brakes of the configuration.
    pub(super) number: usize,
    pub(super) guard: Guard,
    pub(super) gate: Gate,
}

#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: Vec<u8>,
    /// Shared by the models that a rule over all of them counts for.
    pub(super) matcher: Arc<Matcher>,
    pub(super) split: Split,
}

/// A model's part in an experiment.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) experiment: Arc<Experiment>,
    /// The variant of each arm, by the arms' positions.
    pub(super) variants: Vec<Option<usize>>,
}

#[derive(Debug)]
pub(super) struct Shadow {
    pub(super) position: usize,
    /// From 0 to 1.
    pub(super) part: f64,
}

#[derive(Debug)]
pub(super) struct CookieSettings {
    pub(super) name: String,
    pub(super) max_age_seconds: u32,
    pub(super) secure: bool,
}

/// A call for a model, as far as its headers tell.
pub(super) struct Asking<'a, H> {
    pub(super) head: &'a H,
    pub(super) protocol: Protocol,
    pub(super) version: Option<&'a [u8]>,
    /// A tester's wish.
    pub(super) forced: Option<&'a [u8]>,
}

/// What a call gets, and why.
pub(super) struct Choice<'a> {
    pub(super) variant: &'a Variant,
    pub(super) reason: Reason<'a>,
    pub(super) draw: Option<Draw<'a>>,
    /// The variant that it would have got, had that not been braked.
    pub(super) avoided: Option<&'a Variant>,
    pub(super) is_probe: bool,
    pub(super) exposure: Option<Exposure<'a>>,
    pub(super) shadow: Option<&'a Variant>,
}

/// The unit that was drawn for.
#[derive(Clone, Copy)]
pub(super) struct Draw<'a> {
    pub(super) unit: Unit,
    /// None: at random.
    pub(super) key: Option<&'a Key>,
    /// What the cookie will hold that makes this draw stick.
    pub(super) new_cookie: Option<u64>,
}

// === impl Entry ===

impl Entry {
    /// The variant; `None` if a version is asked for that none has.
    pub(super) fn choose<'a>(
        &'a self,
        asking: &Asking<'_, impl Headers>,
        message: &Message,
        random: u64,
    ) -> Option<Choice<'a>> {
        let candidates = self.candidates(asking.version)?;
        let draw = || self.draw(asking.head, message, random);
        let mut choice = self.forced(asking.forced).or_else(|| {
            let facts = self.facts(asking);
            let matches = |rule: &&Rule| rule.matcher.verdict(&facts, Some(message)) == Verdict::Yes;
            if let Some(rule) = self.rules_for(candidates).find(matches) {
                return self.by_split(&rule.split, candidates, Reason::Rule(&rule.name), asking.head, draw);
            }
            self.by_trial(candidates, asking, message, draw)
        })?;
        choice.shadow = self.shadow_of(choice.variant, random);
        Some(choice)
    }

    /// What of the body can change what [`Self::choose`] gives.
    pub(super) fn needed(&self, asking: &Asking<'_, impl Headers>) -> Needs {
        let mut needed = Needs::default();
        if !self.reads_bodies {
            return needed;
        }
        let Some(candidates) = self.candidates(asking.version) else { return needed };
        if asking.forced.is_some_and(|name| self.position(name).is_some()) {
            return needed;
        }
        let facts = self.facts(asking);
        for rule in self.rules_for(candidates) {
            let verdict = rule.matcher.verdict(&facts, None);
            match verdict {
                Verdict::No => continue,
                Verdict::Depends(more) => needed.insert_all(more),
                Verdict::Yes => {}
            }
            if rule.split.is_drawn(candidates) || self.has_brake(&rule.split) {
                needed.insert_all(self.keys.needed(asking.head));
            }
            if verdict == Verdict::Yes {
                return needed;
            }
        }
        for trial in self.trials_for(candidates) {
            needed.insert_all(trial.experiment.keys.needed(asking.head));
        }
        if self.split.is_drawn(candidates) {
            needed.insert_all(self.keys.needed(asking.head));
        }
        needed
    }

    /// The versions and version labels that variants have.
    pub(super) fn versions(&self) -> impl Iterator<Item = &[u8]> {
        let labels = self.variants.iter().flat_map(|variant| &variant.version_labels).map(Vec::as_slice);
        self.variants.iter().filter_map(|variant| variant.version.as_deref()).chain(labels)
    }

    fn facts<'a, H>(&'a self, asking: &Asking<'a, H>) -> Facts<'a, H> {
        Facts { head: asking.head, protocol: asking.protocol, version: asking.version, labels: &self.labels }
    }

    /// Which variants a call may go to: those of the version that it names, else those that have it as a label,
    /// else those that leave the version to the upstream.
    fn candidates(&self, version: Option<&[u8]>) -> Option<Positions> {
        let Some(version) = version else { return Some(self.default) };
        let of_version = Positions::of(&self.variants, |variant| variant.version.as_deref() == Some(version));
        if !of_version.is_empty() {
            return Some(of_version);
        }
        let of_label = Positions::of(&self.variants, |variant| variant.version_labels.iter().any(|it| it == version));
        if !of_label.is_empty() {
            return Some(of_label);
        }
        let unversioned = Positions::of(&self.variants, |variant| variant.version.is_none());
        (!unversioned.is_empty()).then_some(unversioned)
    }

    fn position(&self, name: &[u8]) -> Option<usize> {
        self.variants.iter().position(|variant| variant.name == name)
    }

    fn rules_for(&self, candidates: Positions) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(move |rule| rule.split.reaches(candidates))
    }

    fn trials_for(&self, candidates: Positions) -> impl Iterator<Item = &Trial> {
        self.trials.iter().filter(move |trial| trial.variants.iter().flatten().any(|it| candidates.has(*it)))
    }

    fn forced<'a>(&'a self, name: Option<&[u8]>) -> Option<Choice<'a>> {
        let variant = self.variants.get(self.position(name?)?)?;
        Some(Choice::new(variant, Reason::Forced))
    }

    fn by_trial<'a>(
        &'a self,
        candidates: Positions,
        asking: &Asking<'_, impl Headers>,
        message: &Message,
        draw: impl Fn() -> Draw<'a>,
    ) -> Option<Choice<'a>> {
        let mut held_out = None;
        for trial in self.trials_for(candidates) {
            let experiment = &*trial.experiment;
            let Some((_, key)) = experiment.keys.value(asking.head, message) else { continue };
            let exposure = |arm| Exposure { experiment: &experiment.name, arm, unit: experiment.unit(&key).hash() };
            match experiment.membership(&key) {
                Membership::Out => {}
                Membership::HeldOut => held_out = Some(exposure(None)),
                Membership::Arm(arm) => {
                    let position = trial.variants.get(arm).copied().flatten();
                    let (Some(position), Some(arm)) = (position, experiment.arms.get(arm)) else { continue };
                    if !candidates.has(position) {
                        continue;
                    }
                    let reason = Reason::Experiment { experiment: &experiment.name, arm: &arm.name };
                    let mut choice = self.guarded(position, candidates, reason, asking.head, draw)?;
                    // A unit that did not get its arm's variant was not exposed to it.
                    choice.exposure = choice.avoided.is_none().then(|| exposure(Some(arm.name.as_slice())));
                    return Some(choice);
                }
            }
        }
        let reason = match (asking.version, self.variants.as_slice()) {
            (_, [_]) => Reason::Only,
            (Some(_), _) => Reason::Version,
            _ => Reason::Split,
        };
        let mut choice = self.by_split(&self.split, candidates, reason, asking.head, draw)?;
        choice.exposure = held_out;
        Some(choice)
    }

    fn by_split<'a>(
        &'a self,
        split: &'a Split,
        candidates: Positions,
        reason: Reason<'a>,
        head: &impl Headers,
        draw: impl Fn() -> Draw<'a>,
    ) -> Option<Choice<'a>> {
        // One candidate, or only candidates without a weight: named by version, so the first.
        if !split.is_drawn(candidates) {
            let winner = split.winner(candidates, Unit::random(0), || head.now());
            return self.guarded(winner.or_else(|| split.first(candidates))?, candidates, reason, head, draw);
        }
        let drawn = draw();
        let winner = split.winner(candidates, drawn.unit, || head.now()).or_else(|| split.first(candidates))?;
        let mut choice = self.guarded(winner, candidates, reason, head, || drawn)?;
        choice.draw = Some(drawn);
        Some(choice)
    }

    /// This variant, or what its unit gets instead while it is braked.
    fn guarded<'a>(
        &'a self,
        position: usize,
        candidates: Positions,
        reason: Reason<'a>,
        head: &impl Headers,
        draw: impl Fn() -> Draw<'a>,
    ) -> Option<Choice<'a>> {
        let variant = self.variants.get(position)?;
        let passage = variant.brake.as_ref().map_or(Passage::Free, |brake| brake.gate.pass());
        let mut choice = Choice::new(variant, reason);
        choice.is_probe = passage == Passage::AsProbe;
        if passage != Passage::None {
            return Some(choice);
        }
        let open = Positions::of(&self.variants, |it| it.brake.as_ref().is_none_or(|brake| brake.gate.is_open()));
        let others = candidates.and(open).without(position);
        let drawn = draw();
        // With nobody to take over, a braked variant is better than none.
        if let Some(other) = self.split.winner(others, drawn.unit, || head.now()) {
            choice.avoided = Some(variant);
            choice.variant = self.variants.get(other)?;
            choice.draw = Some(drawn);
        }
        Some(choice)
    }

    fn has_brake(&self, split: &Split) -> bool {
        let variants = split.0.iter().filter_map(|stake| self.variants.get(stake.position));
        variants.into_iter().any(|variant| variant.brake.is_some())
    }

    fn draw<'a>(&'a self, head: &impl Headers, message: &Message, random: u64) -> Draw<'a> {
        if let Some((key, value)) = self.keys.value(head, message) {
            return Draw { unit: self.salt.unit(&value), key: Some(key), new_cookie: None };
        }
        match self.cookie {
            Some(_) => Draw { unit: self.salt.unit(&cookie_value(random)), key: None, new_cookie: Some(random) },
            None => Draw { unit: Unit::random(random), key: None, new_cookie: None },
        }
    }

    fn shadow_of(&self, chosen: &Variant, random: u64) -> Option<&Variant> {
        let shadow = self.shadow.as_ref()?;
        let variant = self.variants.get(shadow.position)?;
        let is_copied =
            variant.name != chosen.name && Salt::new(b"shadow").unit(&random.to_le_bytes()).place() < shadow.part;
        is_copied.then_some(variant)
    }
}

// === impl Choice ===

impl<'a> Choice<'a> {
    fn new(variant: &'a Variant, reason: Reason<'a>) -> Self {
        Self { variant, reason, draw: None, avoided: None, is_probe: false, exposure: None, shadow: None }
    }
}

/// Sixteen hexadecimal digits.
pub(super) fn cookie_value(bits: u64) -> [u8; 16] {
    let mut digits = [0; 16];
    for (place, digit) in digits.iter_mut().enumerate() {
        let value = (bits >> (60 - 4 * place) & 15) as u8;
        *digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
    }
    digits
}

// === impl CookieSettings ===

impl CookieSettings {
    /// The value of `set-cookie`.
    pub(super) fn set(&self, value: &[u8]) -> String {
        let Self { name, max_age_seconds, secure } = self;
        let value = String::from_utf8_lossy(value);
        let secure = if *secure { "; Secure" } else { "" };
        format!("{name}={value}; Max-Age={max_age_seconds}; Path=/; HttpOnly; SameSite=Lax{secure}")
    }
}
