//! What is asked for as a tensor, and the answer as one.

use bytes::Bytes;

use crate::error::Error;
use crate::formats::language::parameters::Named;
use crate::formats::language::settings::Settings;
use crate::message::{InferRequest, InferResponse};
use crate::parameter::{Parameter, Parameters};
use crate::tensor::{Tensor, TensorData};
use crate::text::{Prompt, Sampling, TextRequest};

/// New tokens, where neither request nor settings say how many: as in ModelMesh's example.
const NEW_TOKENS: usize = 10;

/// A request, read.
pub(super) struct Asked {
    /// What the model reads, one a text.
    pub(super) texts: Vec<String>,
    /// Whether each piece of a text is a response.
    pub(super) is_stream: bool,
    /// Whether answers begin with the prompt.
    pub(super) has_prompt: bool,
    output: String,
    /// What all texts have in common.
    like: TextRequest,
}

// === impl Asked ===

impl Asked {
    pub(super) fn read(request: &InferRequest, settings: &Settings) -> Result<Self, Error> {
        let texts = texts(request, settings)?.into_iter().map(|text| settings.prompt(text)).collect();
        let parameters = Named(&request.parameters);
        let is_stream = parameters.flag("stream")?.unwrap_or(false);
        let default = Sampling::default();
        let sampling = Sampling {
            temperature: parameters.number("temperature")?.unwrap_or(default.temperature),
            top_p: parameters.number("top_p")?.unwrap_or(default.top_p),
            top_k: parameters.count("top_k")?.unwrap_or(default.top_k),
            seed: parameters.count("seed")?.map(|seed| seed as u64),
            repetition_penalty: parameters.number("repetition_penalty")?.unwrap_or(default.repetition_penalty),
            ..default
        };
        let new_tokens = parameters.count("max_new_tokens")?.or(parameters.count("max_tokens")?);
        let like = TextRequest {
            sampling,
            max_new_tokens: Some(new_tokens.or(settings.max_new_tokens).unwrap_or(NEW_TOKENS)),
            stop: parameters.text("stop")?.into_iter().collect(),
            ..TextRequest::new(Prompt::Text(String::new()))
        };
        // Pieces of a stream are what is new.
        let has_prompt = settings.return_full_text.unwrap_or(true) && !is_stream;
        Ok(Self { texts, is_stream, has_prompt, output: settings.output().to_owned(), like })
    }

    /// What one of the texts asks for.
    pub(super) fn request(&self, text: &str) -> TextRequest {
        TextRequest { prompt: Prompt::Text(text.to_owned()), ..self.like.clone() }
    }

    pub(super) fn has_stops(&self) -> bool {
        !self.like.stop.is_empty()
    }

    pub(super) fn response(&self, answers: Vec<String>) -> Result<InferResponse, Error> {
        let shape = vec![answers.len(), 1];
        let answers = answers.into_iter().map(Bytes::from).collect();
        let output = Tensor::new(&self.output, shape, TensorData::Bytes(answers))?;
        let content_type = Parameters::from([("content_type".to_owned(), Parameter::String("str".to_owned()))]);
        Ok(InferResponse { parameters: Parameters::new(), outputs: vec![output.with_parameters(content_type)] })
    }
}

fn texts<'r>(request: &'r InferRequest, settings: &Settings) -> Result<Vec<&'r str>, Error> {
    let expected = settings.input();
    let [input] = request.inputs.as_slice() else {
        let count = request.inputs.len();
        return Err(Error::invalid(format!("expected one input '{expected}' of BYTES, got {count} inputs")));
    };
    if input.name != expected {
        return Err(Error::invalid(format!("unknown input '{}', the model takes '{expected}'", input.name)));
    }
    let TensorData::Bytes(values) = input.data() else {
        return Err(Error::invalid(format!("input '{expected}': expected BYTES, got {}", input.datatype())));
    };
    let text = |(index, value): (usize, &'r Bytes)| {
        std::str::from_utf8(value)
            .map_err(|_| Error::invalid(format!("input '{expected}': the text at {index} is not UTF-8")))
    };
    values.iter().enumerate().map(text).collect()
}
