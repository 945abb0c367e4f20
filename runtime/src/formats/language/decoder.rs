//! The decoder: a transformer over several texts at once.
//!
//! One step takes new positions of any number of texts, each with its own cache and its own number of positions. All
//! positions go through the linear layers as one matrix; only attention looks at one text at a time. Nothing is
//! padded, and the kernels give a row the same bits in any company, so a text's numbers do not depend on what else
//! is computed.

mod attention;
mod block;
mod linear;
mod norm;
mod places;

use self::block::Block;
pub(super) use self::linear::{LowRank, Site, Target};
use self::norm::Norm;
use self::places::Places;
use crate::formats::LoadError;
use crate::formats::language::alibi;
use crate::formats::language::cache::{Cache, CacheShape};
use crate::formats::language::compute::{ComputeError, Matrix, Processor, States, Vector, rounded};
use crate::formats::language::config::{Config, Positions};
use crate::formats::language::weights::{Kept, Weights};

/// A decoder with its weights.
pub(super) struct Decoder {
    config: Config,
    processor: Processor,
    /// `[vocabulary, hidden]`; it reads tokens and, where there is no other head, scores them.
    embedding: Matrix,
    /// What its vectors are multiplied with.
    embedding_scale: Option<f32>,
    embedding_norm: Option<Norm>,
    blocks: Vec<Block>,
    last_norm: Norm,
    head: Option<Matrix>,
    head_bias: Option<Vector>,
    /// ALiBi's, one a head.
    slopes: Option<Vec<f32>>,
}

/// What one text brings to a step.
pub(super) struct Row<'a> {
    pub(super) new: New<'a>,
    pub(super) cache: &'a mut Cache,
    /// Changes of the adapter that this text is for.
    pub(super) low_rank: Option<&'a LowRank>,
    /// Whether the scores of what comes behind the new positions are wanted.
    pub(super) wants_scores: bool,
}

/// New positions of a text.
#[derive(Clone, Copy)]
pub(super) enum New<'a> {
    /// By token ids.
    Tokens(&'a [u32]),
    /// As vectors in the embedding's place, one behind the other.
    Vectors(&'a [f32]),
}

/// Where a text's positions are in the matrix of all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) length: usize,
}

/// The scores of all tokens, for each row that wanted them.
#[derive(Clone, Debug)]
pub(super) struct Scores {
    values: Vec<f32>,
    vocabulary: usize,
}

/// Why a step could not be computed: a fault of ours, or a token that the model does not have.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    #[error(transparent)]
    Compute(#[from] ComputeError),
    #[error("the token {0} is not in the vocabulary of {1}")]
    Token(u32, usize),
    #[error("a row brings no new positions")]
    Nothing,
}

// === impl Decoder ===

impl Decoder {
    /// Takes the weights that the configuration asks for; what is left over is a fault, unless it is known to be needless.
    pub(super) fn new(config: Config, weights: &mut Weights, kept: Kept) -> Result<Self, LoadError> {
        let processor = weights.processor().clone();
        processor.run(|| Self::take(config, weights, kept))
    }

    fn take(config: Config, weights: &mut Weights, kept: Kept) -> Result<Self, LoadError> {
        let (hidden, vocabulary, names) = (config.hidden, config.vocabulary, config.names);
        let table = |name: &str| [(format!("{name}.weight"), vocabulary)];
        let stored = weights.precision(&format!("{}.weight", names.embedding));
        let embedding_scale = config.embedding_scale.map(|scale| rounded(scale, stored));
        let embedding = weights.matrix(&table(names.embedding), hidden, kept)?;
        let embedding_norm =
            names.embedding_norm.map(|name| Norm::take(weights, name, hidden, config.norm)).transpose()?;
        let blocks =
            (0..config.layers).map(|number| Block::take(weights, number, &config, kept)).collect::<Result<_, _>>()?;
        let last_norm = Norm::take(weights, names.last_norm, hidden, config.norm)?;
        // A tied head is the embedding; some files have it twice.
        let head = if config.is_tied {
            weights.skip(&format!("{}.weight", names.head));
            None
        } else {
            Some(weights.matrix(&table(names.head), hidden, kept)?)
        };
        let head_bias = match config.bias.head {
            true => Some(weights.take(&format!("{}.bias", names.head), &[vocabulary])?),
            false => None,
        };
        let head_bias = head_bias.map(|bias| weights.vector(bias)).transpose()?;
        let is_needless = |name: &str| name.ends_with("rotary_emb.inv_freq");
        if let Some(name) = weights.names().into_iter().find(|name| !is_needless(name)) {
            let (family, layers) = (&config.family, config.layers);
            return Err(weights.malformed(&format!("the tensor '{name}' is none of {family}'s with {layers} layers")));
        }
        let slopes = matches!(config.positions, Positions::Alibi).then(|| alibi::slopes(config.heads));
        Ok(Self {
            processor: weights.processor().clone(),
            embedding,
            embedding_scale,
            embedding_norm,
            blocks,
            last_norm,
            head,
            head_bias,
            slopes,
            config,
        })
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// Where it computes.
    pub(super) fn processor(&self) -> &Processor {
        &self.processor
    }

    /// Bytes of the weights.
    pub(super) fn size_bytes(&self) -> usize {
        let blocks: usize = self.blocks.iter().map(Block::size_bytes).sum();
        let norms = self.embedding_norm.as_ref().map_or(0, Norm::size_bytes) + self.last_norm.size_bytes();
        let bias = self.head_bias.as_ref().map_or(0, Vector::size_bytes);
        self.embedding.size_bytes() + self.head.as_ref().map_or(0, Matrix::size_bytes) + bias + blocks + norms
    }

    /// The shape of its caches.
    pub(super) fn cache_shape(&self) -> CacheShape {
        let Config { layers, kv_heads, head_width, .. } = self.config;
        CacheShape { layers, heads: kv_heads, width: head_width, processor: self.processor.clone() }
    }

    /// One step: every row's new positions go into its cache. Gives the scores of what comes next.
    pub(super) fn step(&self, rows: &mut [Row<'_>]) -> Result<Scores, StepError> {
        self.processor.run(|| self.compute(rows))
    }

    fn compute(&self, rows: &mut [Row<'_>]) -> Result<Scores, StepError> {
        let (spans, mut positions) = self.positions(rows)?;
        if let Some(norm) = &self.embedding_norm {
            positions = norm.apply(&positions)?;
        }
        let places = Places::new(&self.processor, &self.config, self.slopes.as_deref(), rows, &spans)?;
        for (number, block) in self.blocks.iter().enumerate() {
            block.apply(&mut positions, number, rows, &spans, &places.of(number))?;
        }
        let wanted = rows.iter().zip(&spans).filter(|(row, _)| row.wants_scores);
        let last: Vec<usize> = wanted.map(|(_, span)| span.start + span.length - 1).collect();
        let vocabulary = self.config.vocabulary;
        if last.is_empty() {
            return Ok(Scores { values: Vec::new(), vocabulary });
        }
        let last = self.last_norm.apply(&positions.chosen(&last)?)?;
        let head = self.head.as_ref().unwrap_or(&self.embedding);
        let mut scores = head.multiply(&last, self.head_bias.as_ref())?;
        if let Some(cap) = self.config.caps.scores {
            scores = scores.capped(cap)?;
        }
        Ok(Scores { values: scores.into_values()?, vocabulary })
    }

    /// The new positions of all rows as one matrix, and which are whose.
    fn positions(&self, rows: &[Row<'_>]) -> Result<(Vec<Span>, States), StepError> {
        let mut spans = Vec::with_capacity(rows.len());
        let mut start = 0;
        let mut parts = Vec::new();
        // Tokens of neighbours are looked up together.
        let mut tokens = Vec::new();
        for row in rows {
            let length = match row.new {
                New::Tokens(new) => {
                    tokens.extend_from_slice(new);
                    new.len()
                }
                New::Vectors(vectors) => {
                    parts.extend(self.embedded(&mut tokens)?);
                    parts.push(self.processor.states(vectors, self.config.hidden)?);
                    vectors.len() / self.config.hidden
                }
            };
            if length == 0 {
                return Err(StepError::Nothing);
            }
            spans.push(Span { start, length });
            start += length;
        }
        parts.extend(self.embedded(&mut tokens)?);
        Ok((spans, States::concatenated(parts)?))
    }

    /// The vectors of tokens, if there are any; takes them.
    fn embedded(&self, tokens: &mut Vec<u32>) -> Result<Option<States>, StepError> {
        if tokens.is_empty() {
            return Ok(None);
        }
        let unknown = |token| StepError::Token(token, self.config.vocabulary);
        let mut vectors = self.embedding.rows(tokens)?.map_err(unknown)?;
        if let Some(scale) = self.embedding_scale {
            vectors.scale(scale)?;
        }
        tokens.clear();
        Ok(Some(vectors))
    }
}

// === impl Scores ===

impl Scores {
    /// One after the other, in the order of the rows that wanted them.
    pub(super) fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks(self.vocabulary.max(1))
    }
}
