//! The model: a batch of texts in, a label and a score for each out.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use modelway::runtime::{
    BatchModel, Bytes, DataType, Error, InferRequest, ModelMetadata, Parameter, Parameters, Tensor, TensorData,
    TensorSpec,
};

use crate::rules::{Rules, Verdict};

/// Bytes of text that are labelled in well under 500 µs.
const QUICK_BYTES: usize = 8 << 10;

/// Labels texts by [`Rules`].
///
/// - The input is one BYTES tensor of any name, `[n]` or `[n, 1]`, each element a text in UTF-8.
/// - `label` is BYTES, `score` FP32, both `[n, 1]`.
#[derive(Debug)]
pub(crate) struct Labeller {
    rules: Rules,
    metadata: ModelMetadata,
}

// === impl Labeller ===

impl Labeller {
    pub(crate) fn new(rules: Rules) -> Self {
        let column = |name: &str, datatype| TensorSpec { name: name.to_owned(), datatype, shape: vec![-1, 1] };
        let labels: Vec<&str> = rules.labels().collect();
        let metadata = ModelMetadata {
            platform: "text_labels".to_owned(),
            inputs: vec![column("text", DataType::Bytes)],
            outputs: vec![column("label", DataType::Bytes), column("score", DataType::Fp32)],
            properties: BTreeMap::from([
                ("labels".to_owned(), labels.join(", ")),
                ("words".to_owned(), rules.word_count().to_string()),
            ]),
        };
        Self { rules, metadata }
    }
}

impl BatchModel for Labeller {
    fn metadata(&self) -> &ModelMetadata {
        &self.metadata
    }

    fn size_bytes(&self) -> u64 {
        let bytes = size_of::<Self>() + self.rules.heap_bytes() + self.metadata.heap_bytes();
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    fn is_quick(&self, request: &InferRequest) -> bool {
        let bytes = |input: &Tensor| match input.data() {
            TensorData::Bytes(texts) => texts.iter().map(Bytes::len).sum(),
            _ => 0,
        };
        request.inputs.iter().map(bytes).sum::<usize>() < QUICK_BYTES
    }

    fn predict(&self, request: &InferRequest) -> Result<(Vec<Tensor>, Parameters), Error> {
        let verdicts: Vec<Verdict> = texts(request)?.iter().map(|text| self.rules.label(text)).collect();
        let shape = vec![verdicts.len(), 1];
        let scores = verdicts.iter().map(|verdict| verdict.score).collect();
        let labels = verdicts.into_iter().map(|verdict| verdict.label).collect();
        // What MLServer's clients read texts by.
        let is_text = Parameters::from([("content_type".to_owned(), Parameter::String("str".to_owned()))]);
        let label = Tensor::new("label", shape.clone(), TensorData::Bytes(labels))?.with_parameters(is_text);
        let score = Tensor::new("score", shape, TensorData::Fp32(scores))?;
        Ok((vec![label, score], Parameters::new()))
    }
}

/// The texts of the request's only input.
fn texts(request: &InferRequest) -> Result<Vec<&str>, Error> {
    let [input] = request.inputs.as_slice() else {
        return Err(Error::invalid(format!("expected one input, the texts, got {}", request.inputs.len())));
    };
    let name = &input.name;
    let TensorData::Bytes(texts) = input.data() else {
        return Err(Error::invalid(format!("input '{name}': expected BYTES, got {}", input.datatype())));
    };
    let ([_] | [_, 1]) = input.shape() else {
        return Err(Error::invalid(format!("input '{name}': expected shape [n] or [n, 1], got {:?}", input.shape())));
    };
    let texts = texts.iter().enumerate().map(|(row, text)| {
        str::from_utf8(text).map_err(|error| Error::invalid(format!("input '{name}', text {row}: not UTF-8: {error}")))
    });
    texts.collect()
}
