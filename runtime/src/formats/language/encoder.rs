//! The encoder: a transformer whose positions see their whole text, over several texts at once.
//!
//! All positions of all texts go through the linear layers as one matrix; only attention looks at one text at a time.
//! Nothing is padded, and the kernels give a row the same bits in any company, so a text's vectors do not depend on what
//! else is computed. Nothing is kept between two calls: a text comes whole.

mod config;
mod distances;
mod layer;
mod linear;
mod names;

use std::ops::Range;

use modelway_kernels::{Attention, Matrix, Rotations, ShapeError, add};

use self::config::Positions;
pub(super) use self::config::{Config, Cuts, FAMILIES, is_in};
use self::distances::Relative;
use self::layer::Layer;
pub(super) use self::linear::{Linear, Norm};
use super::compute::Processor;
use super::weights::{Kept, Weights};
use crate::formats::LoadError;

/// An encoder with its weights.
pub(super) struct Encoder {
    config: Config,
    /// `[vocabulary, hidden]`
    embedding: Matrix,
    /// `[positions, hidden]`, where they are learned.
    positions: Vec<f32>,
    /// The vector of the first type of tokens: empty, or as wide as a position.
    kind: Vec<f32>,
    embedding_norm: Norm,
    layers: Vec<Layer>,
    last_norm: Option<Norm>,
    distances: Option<Relative>,
}

/// Why a step could not be computed: a fault of ours, or a token that the model does not have.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    #[error(transparent)]
    Shape(#[from] ShapeError),
    #[error("the token {0} is not in the vocabulary of {1}")]
    Token(u32, usize),
    #[error("a text has {0} tokens, the model has room for {1}")]
    Length(usize, usize),
}

// === impl Encoder ===

impl Encoder {
    /// Takes the weights that the configuration asks for; what is left over of the encoder itself is a fault.
    pub(super) fn new(config: Config, weights: Weights, kept: Kept) -> Result<Self, LoadError> {
        Processor::Host.run(|| Self::take(config, weights, kept))
    }

    fn take(config: Config, weights: Weights, kept: Kept) -> Result<Self, LoadError> {
        let (hidden, names) = (config.hidden, config.names);
        let mut weights = weights.renamed(|name| names.bare(name));
        let table = [(format!("{}.weight", names.embedding), config.vocabulary)];
        let embedding = weights.host_matrix(&table, hidden, kept)?;
        let positions = match (&config.positions, names.positions) {
            (Positions::Learned { count, .. }, Some(name)) => {
                weights.take(&format!("{name}.weight"), &[*count, hidden])?
            }
            _ => Vec::new(),
        };
        let mut kind = Vec::new();
        if let Some(name) = names.types.filter(|_| config.types > 0) {
            kind = weights.take(&format!("{name}.weight"), &[config.types, hidden])?;
            kind.truncate(hidden);
        }
        let norm =
            |weights: &mut Weights, name: &str| Norm::take(weights, name, hidden, config.bias.norm, config.epsilon);
        let embedding_norm = norm(&mut weights, names.embedding_norm)?;
        let layers = (0..config.layers).map(|number| Layer::take(&mut weights, number, &config, kept));
        let layers = layers.collect::<Result<_, _>>()?;
        let last_norm = names.last_norm.map(|name| norm(&mut weights, name)).transpose()?;
        let mut distances = None;
        if let Some(name) = names.distances {
            let (kinds, heads) = (config.distances, config.heads);
            let table = weights.take(&format!("{name}.weight"), &[kinds, heads])?;
            distances = Some(Relative::new(&table, kinds, heads, config.context));
        }
        if let Some(name) = weights.names().into_iter().find(|name| !names.is_needless(name)) {
            let (family, layers) = (&config.family, config.layers);
            return Err(weights.malformed(&format!("the tensor '{name}' is none of {family}'s with {layers} layers")));
        }
        Ok(Self { config, embedding, positions, kind, embedding_norm, layers, last_norm, distances })
    }

    /// Bytes of the weights.
    pub(super) fn size_bytes(&self) -> usize {
        let layers: usize = self.layers.iter().map(Layer::size_bytes).sum();
        let norms = self.embedding_norm.size_bytes() + self.last_norm.as_ref().map_or(0, Norm::size_bytes);
        let tables = (self.positions.len() + self.kind.len()) * size_of::<f32>();
        let distances = self.distances.as_ref().map_or(0, Relative::size_bytes);
        self.embedding.size_bytes() + tables + layers + norms + distances
    }

    /// `[positions of all texts, hidden]`: what the last layer says of each token, the texts one after the other.
    pub(super) fn encode(&self, texts: &[&[u32]]) -> Result<Vec<f32>, StepError> {
        Processor::Host.run(|| self.compute(texts))
    }

    fn compute(&self, texts: &[&[u32]]) -> Result<Vec<f32>, StepError> {
        let mut positions = self.embedding_norm.apply(&self.begin(texts)?)?;
        let mut spans: Vec<Range<usize>> = Vec::with_capacity(texts.len());
        for text in texts {
            let start = spans.last().map_or(0, |last| last.end);
            spans.push(start..start + text.len());
        }
        let places = Places::new(&self.config, self.distances.as_ref(), texts);
        for (number, layer) in self.layers.iter().enumerate() {
            let (attention, rotations) = places.of(number);
            layer.apply(&mut positions, &spans, &attention, rotations)?;
        }
        match &self.last_norm {
            Some(norm) => Ok(norm.apply(&positions)?),
            None => Ok(positions),
        }
    }

    /// What goes into the first norm: the vectors of tokens, and of their places.
    fn begin(&self, texts: &[&[u32]]) -> Result<Vec<f32>, StepError> {
        let Config { hidden, context, vocabulary, .. } = self.config;
        let mut positions = vec![0.0; texts.iter().map(|text| text.len()).sum::<usize>() * hidden];
        let mut vectors = positions.chunks_mut(hidden);
        for text in texts {
            if text.len() > context {
                return Err(StepError::Length(text.len(), context));
            }
            let mut before = 0;
            for (token, vector) in text.iter().zip(&mut vectors) {
                let unknown = |_| StepError::Token(*token, vocabulary);
                self.embedding.row(*token as usize, vector).map_err(unknown)?;
                if let Some(place) = self.place(*token, &mut before) {
                    add(vector, self.positions.get(place * hidden..(place + 1) * hidden).unwrap_or_default())?;
                }
                if !self.kind.is_empty() {
                    add(vector, &self.kind)?;
                }
            }
        }
        Ok(positions)
    }

    /// Where the place of a token stands in the table, with so many before it. transformers counts no padding token,
    /// also where one is written in a text.
    fn place(&self, token: u32, before: &mut usize) -> Option<usize> {
        let Positions::Learned { padding, .. } = &self.config.positions else { return None };
        match padding {
            Some(padding) if *padding == token => Some(token as usize),
            _ => {
                *before += 1;
                Some(padding.map_or(0, |padding| padding as usize + 1) + *before - 1)
            }
        }
    }
}

/// What positions mean to attention, in each layer of a step.
struct Places<'a> {
    config: &'a Config,
    attention: Attention<'a>,
    /// Of layers without and with a window.
    rotations: Option<[Rotations; 2]>,
}

// === impl Places ===

impl<'a> Places<'a> {
    fn new(config: &'a Config, distances: Option<&'a Relative>, texts: &[&[u32]]) -> Self {
        let heads = config.heads;
        let scale = ((config.hidden / heads) as f32).sqrt().recip();
        let distances = distances.map(Relative::all);
        let attention =
            Attention { heads, scale, cap: None, slopes: None, window: None, distances, is_bidirectional: true };
        let rotations = match &config.positions {
            Positions::Learned { .. } => None,
            Positions::Rotary { everywhere, windowed, .. } => {
                let at: Vec<usize> = texts.iter().flat_map(|text| 0..text.len()).collect();
                Some([everywhere, windowed].map(|rotary| Rotations::new(&rotary.frequencies, rotary.scale, &at)))
            }
        };
        Self { config, attention, rotations }
    }

    fn of(&self, layer: usize) -> (Attention<'_>, Option<&Rotations>) {
        let Positions::Rotary { window, layers, .. } = &self.config.positions else { return (self.attention, None) };
        let rotations = self.rotations.as_ref();
        if layers.get(layer).copied().unwrap_or_default() {
            (Attention { window: Some(*window), ..self.attention }, rotations.map(|[_, windowed]| windowed))
        } else {
            (self.attention, rotations.map(|[everywhere, _]| everywhere))
        }
    }
}
