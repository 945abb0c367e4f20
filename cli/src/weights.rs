//! `modelway set-weight`, `promote` and `rollback`: a mesh file with other weights, and nothing else changed.

mod edit;
mod file;
mod history;
mod report;

use std::path::{Path as FilePath, PathBuf};

use anyhow::{Context, anyhow, bail};
use modelway_decision::config::ModelEntry;

use self::history::{Command, Entry, History};
use self::report::{Change, Report};
use crate::check::check_source;
use crate::faults;
use crate::mesh_file::Mesh;
use crate::output::{Output, say};
use crate::source::{Form, Source};
use crate::split;

/// What all three need.
#[derive(Debug, clap::Args)]
struct Subject {
    /// Mesh file, or another file that holds a routing as YAML or JSON.
    file: PathBuf,
    /// The model, by its entry's name or an alias.
    model: String,
    /// The model's scope, where several have one of this name.
    #[arg(long)]
    scope: Option<String>,
    /// Show what would change, and change nothing.
    #[arg(long, global = true)]
    dry_run: bool,
    #[command(flatten)]
    output: Output,
}

/// Arguments of `modelway set-weight`.
#[derive(Debug, clap::Args)]
pub(crate) struct SetArgs {
    #[command(flatten)]
    subject: Subject,
    /// Variants with their new weights; those not named keep theirs.
    #[arg(required = true, value_name = "VARIANT=WEIGHT", value_parser = parse_weight)]
    weights: Vec<(String, f64)>,
}

/// Arguments of `modelway promote`.
#[derive(Debug, clap::Args)]
pub(crate) struct PromoteArgs {
    #[command(flatten)]
    subject: Subject,
    /// The variant that gets all of the split: the sum of the weights; the others get 0.
    variant: String,
}

/// Arguments of `modelway rollback`.
#[derive(Debug, clap::Args)]
pub(crate) struct RollbackArgs {
    #[command(flatten)]
    subject: Subject,
    /// Also where the weights were changed by hand since.
    #[arg(long)]
    force: bool,
}

pub(crate) fn set(args: &SetArgs) -> anyhow::Result<()> {
    let edit = Edit::begin(&args.subject)?;
    edit.finish(Command::SetWeight, &args.weights)
}

pub(crate) fn promote(args: &PromoteArgs) -> anyhow::Result<()> {
    let edit = Edit::begin(&args.subject)?;
    edit.position(&args.variant)?;
    let total: f64 = edit.before().iter().map(|(_, weight)| weight).sum();
    let names = edit.model.variants.iter().map(|variant| variant.name.clone());
    let weights = names.map(|name| if name == args.variant { (name, total.max(1.0)) } else { (name, 0.0) });
    let weights: Vec<_> = weights.collect();
    edit.finish(Command::Promote, &weights)?;
    for (path, rule) in edit.rules_elsewhere(&args.variant) {
        say(&format!("note: {path}, the rule '{rule}', still leads elsewhere"));
    }
    Ok(())
}

pub(crate) fn rollback(args: &RollbackArgs) -> anyhow::Result<()> {
    let edit = Edit::begin(&args.subject)?;
    let last = edit.history.last_edit(&edit.name_in_history())?.with_context(|| {
        format!(
            "no edit of '{}' to undo in {}; older weights are where the file is kept, such as `git log -p {}`",
            edit.model.name,
            edit.history.file().display(),
            edit.subject.file.display()
        )
    })?;
    let now = edit.before();
    if !args.force && now != last.after {
        bail!(
            "the weights were changed since the last edit, from {} to {}: set them with `modelway set-weight`, or roll back \
             to {} with --force",
            shown(&last.after),
            shown(&now),
            shown(&last.before)
        );
    }
    let gone: Vec<&str> =
        last.before.iter().map(|(name, _)| name.as_str()).filter(|name| edit.position(name).is_err()).collect();
    if !gone.is_empty() {
        bail!("the last edit was of variants that are gone: {}; use `modelway set-weight`", gone.join(", "));
    }
    edit.finish(Command::Rollback, &last.before)
}

/// A file that is fine, and the model in it whose weights change.
struct Edit<'a> {
    subject: &'a Subject,
    source: Source,
    index: usize,
    model: ModelEntry,
    history: History,
}

// === impl Edit ===

impl<'a> Edit<'a> {
    fn begin(subject: &'a Subject) -> anyhow::Result<Self> {
        if subject.file == FilePath::new("-") {
            bail!("standard input cannot be edited in place: expected a file");
        }
        let source = Source::read(&subject.file)?;
        let refused = || format!("{} is refused as it is; `modelway check` tells more", subject.file.display());
        let mesh = Mesh::parse(&source).with_context(refused)?;
        if source.only_section()?.form == Form::EnvoyFilter {
            bail!("an EnvoyFilter holds its routing as text: edit the mesh file and render it again");
        }
        let index = find_model(&mesh, &subject.model, subject.scope.as_deref())?;
        let model = mesh.config.models.get(index).context("the model is gone")?.clone();
        let history = History::beside(&subject.file)?;
        Ok(Self { subject, source, index, model, history })
    }

    fn position(&self, variant: &str) -> anyhow::Result<usize> {
        let names = || self.model.variants.iter().map(|variant| variant.name.as_str());
        names().position(|name| name == variant).ok_or_else(|| {
            let known: Vec<&str> = names().collect();
            match known.as_slice() {
                [] => anyhow!("the model '{}' lists no variants: write them down first", self.model.name),
                known => {
                    anyhow!("the model '{}' has no variant '{variant}', it has {}", self.model.name, known.join(", "))
                }
            }
        })
    }

    /// Models of several scopes may have one name.
    fn name_in_history(&self) -> String {
        match &self.model.scope {
            Some(scope) => format!("{} in {scope}", self.model.name),
            None => self.model.name.clone(),
        }
    }

    /// Every variant with its weight.
    fn before(&self) -> Vec<(String, f64)> {
        self.model.variants.iter().map(|variant| (variant.name.clone(), split::weight(variant))).collect()
    }

    /// Writes the file with these weights, unless what comes out would be refused.
    fn finish(&self, command: Command, weights: &[(String, f64)]) -> anyhow::Result<()> {
        let before = self.before();
        let mut after = before.clone();
        let mut changes = Vec::new();
        for (name, weight) in weights {
            let position = self.position(name)?;
            if let Some(entry) = after.get_mut(position) {
                entry.1 = *weight;
            }
            changes.push((position, *weight));
        }
        // A weight that is what it was is not written, so that the file keeps what it leaves out.
        changes.retain(|(position, weight)| before.get(*position).is_some_and(|(_, before)| before != weight));
        let section = self.source.only_section()?;
        let text = edit::with_weights(&self.source, section, self.index, &changes)?;
        let edited = Source::parse(&self.subject.file, text)?;
        Mesh::parse(&edited).context("with these weights the file would be refused")?;

        let report = Report {
            file: self.subject.file.clone(),
            model: self.model.name.clone(),
            variants: Change::between(&before, &after),
            diff: report::diff(&self.subject.file, &self.source.text, &edited.text),
            goes_back: command != Command::Rollback,
            written: !self.subject.dry_run && !changes.is_empty(),
        };
        if report.written {
            file::replace(&self.subject.file, &self.source.text, &edited.text)?;
            let model = self.name_in_history();
            self.history.append(&Entry::now(&self.subject.file, model, command, before, after))?;
        }
        self.subject.output.show(&report, || report.text(self.subject.dry_run))?;
        // Who promotes or rolls back means what follows from it.
        if command == Command::SetWeight {
            self.tell_new_warnings(&edited);
        }
        self.tell_of_ramps();
        Ok(())
    }

    fn tell_new_warnings(&self, edited: &Source) {
        let before = check_source(&self.source).warnings;
        for warning in check_source(edited).warnings {
            if !before.iter().any(|known| known.path == warning.path && known.message == warning.message) {
                say(&format!("warning: {}: {}", warning.path, warning.message));
            }
        }
    }

    fn tell_of_ramps(&self) {
        let ramped = self.model.variants.iter().filter(|variant| variant.ramp.is_some());
        for variant in ramped {
            say(&format!("note: the ramp of '{}' sets its weight from its first step on", variant.name));
        }
    }

    /// The model's rules that lead anywhere but to this variant.
    fn rules_elsewhere(&self, variant: &str) -> Vec<(String, String)> {
        let in_file = self.source.only_section().map(|section| section.path.clone()).unwrap_or_default();
        let own = self.model.rules.iter().enumerate();
        let elsewhere = own.filter(|(_, rule)| {
            let shares = rule.split.iter().filter(|share| share.weight.0 > 0.0).map(|share| &share.variant);
            rule.variant.iter().chain(shares).any(|goal| goal != variant)
        });
        let path = |index| in_file.clone().key("models").index(self.index).key("rules").index(index).to_string();
        elsewhere.map(|(index, rule)| (path(index), rule.name.clone())).collect()
    }
}

fn find_model(mesh: &Mesh, name: &str, scope: Option<&str>) -> anyhow::Result<usize> {
    let is_in_scope = |model: &&ModelEntry| scope.is_none() || model.scope.as_deref() == scope;
    let models = || mesh.config.models.iter().enumerate().filter(move |(_, model)| is_in_scope(model));
    let named: Vec<usize> = models().filter(|(_, model)| model.name == name).map(|(index, _)| index).collect();
    let aliased: Vec<usize> =
        models().filter(|(_, model)| model.aliases.iter().any(|alias| alias == name)).map(|(index, _)| index).collect();
    match (named.as_slice(), aliased.as_slice()) {
        ([index], _) | ([], [index]) => Ok(*index),
        ([], []) => {
            let known = mesh.config.models.iter().map(|model| model.name.as_str());
            let meant =
                faults::nearest(name, known).map(|name| format!(", did you mean '{name}'?")).unwrap_or_default();
            let scope = scope.map(|scope| format!(" in the scope '{scope}'")).unwrap_or_default();
            bail!("there is no model '{name}'{scope}{meant}")
        }
        _ => bail!("several entries are called '{name}': say which with --scope, or edit the file by hand"),
    }
}

fn parse_weight(text: &str) -> Result<(String, f64), String> {
    let expected = || format!("expected VARIANT=WEIGHT with a number not below 0, such as canary=25, got '{text}'");
    let (name, weight) = text.rsplit_once('=').ok_or_else(expected)?;
    let weight: f64 = weight.parse().map_err(|_| expected())?;
    if name.is_empty() || !weight.is_finite() || weight < 0.0 { Err(expected()) } else { Ok((name.to_owned(), weight)) }
}

/// `stable=90 canary=10`.
fn shown(weights: &[(String, f64)]) -> String {
    weights.iter().map(|(name, weight)| format!("{name}={weight}")).collect::<Vec<_>>().join(" ")
}
