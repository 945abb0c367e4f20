//! Values of `modelway serve`'s arguments that come from elsewhere.

use clap::Command;

/// What another server was told.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// By the argument's id, which is the field's name.
    values: Vec<(&'static str, Vec<String>)>,
    ignored: Vec<String>,
}

// === impl Settings ===

impl Settings {
    /// Sets the argument, unless its flag or its own variable does.
    pub(super) fn set(&mut self, argument: &'static str, value: impl Into<String>) {
        self.set_all(argument, vec![value.into()]);
    }

    pub(super) fn set_all(&mut self, argument: &'static str, values: Vec<String>) {
        self.values.retain(|(set, _)| *set != argument);
        self.values.push((argument, values));
    }

    pub(super) fn ignore(&mut self, setting: impl Into<String>) {
        self.ignored.push(setting.into());
    }

    /// What was said and has no effect here.
    pub(crate) fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// The command with these values as its defaults, so that flags and variables of its own go before them.
    pub(crate) fn apply(&self, command: Command) -> Command {
        command.mut_subcommand("serve", |serve| {
            self.values.iter().fold(serve, |serve, (id, values)| {
                // A few words, which live as long as the command: as long as the process.
                let values = values.iter().map(|value| &*value.clone().leak());
                serve.mut_arg(id, |argument| argument.required(false).default_values(values))
            })
        })
    }

    #[cfg(test)]
    pub(super) fn value(&self, argument: &str) -> Option<&[String]> {
        self.values.iter().find(|(set, _)| *set == argument).map(|(_, values)| values.as_slice())
    }
}
