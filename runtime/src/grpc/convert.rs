//! Between the messages of the wire and the types inside.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::error::Error;
use crate::message::{InferRequest, InferResponse, RequestedOutput};
use crate::model::TensorSpec;
use crate::parameter::{Parameter, Parameters};
use crate::protocol::proto::infer_parameter::ParameterChoice;
use crate::protocol::proto::model_infer_request::InferInputTensor;
use crate::protocol::proto::model_infer_response::InferOutputTensor;
use crate::protocol::proto::model_metadata_response::TensorMetadata;
use crate::protocol::proto::{InferParameter, InferTensorContents, ModelInferRequest, ModelInferResponse};
use crate::protocol::{contents, raw, shape_from_wire, shape_to_wire};
use crate::tensor::{DataType, Tensor};

#[cfg(test)]
mod tests;

/// A request read, and whether its values were raw, as the answer's then are.
pub(super) struct Read {
    pub(super) request: InferRequest,
    pub(super) is_raw: bool,
}

/// What the front end adds to a model's response.
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    pub(super) model_name: String,
    pub(super) model_version: String,
    pub(super) id: String,
    pub(super) is_raw: bool,
}

/// Reads a request.
pub(super) fn read(message: ModelInferRequest) -> Result<Read, Error> {
    let ModelInferRequest { model_name, model_version, id, parameters, inputs, outputs, raw_input_contents } = message;
    let is_raw = !raw_input_contents.is_empty();
    if is_raw && raw_input_contents.len() != inputs.len() {
        return Err(Error::invalid(format!(
            "raw_input_contents has {} entries for {} inputs, expected one each",
            raw_input_contents.len(),
            inputs.len()
        )));
    }
    let mut names = BTreeSet::new();
    if let Some(twice) = inputs.iter().find(|input| !names.insert(input.name.as_str())) {
        let name = &twice.name;
        return Err(Error::invalid(format!("input '{name}' stands twice in inputs, expected each name once")));
    }
    let mut raw_values = raw_input_contents.into_iter();
    let inputs = inputs.into_iter().map(|input| read_input(input, raw_values.next()));
    let inputs = inputs.collect::<Result<_, _>>()?;
    let outputs = outputs
        .into_iter()
        .map(|output| RequestedOutput { name: output.name, parameters: read_parameters(output.parameters) });
    let request = InferRequest {
        model: model_name,
        version: Some(model_version).filter(|version| !version.is_empty()),
        id: Some(id).filter(|id| !id.is_empty()),
        parameters: read_parameters(parameters),
        inputs,
        outputs: outputs.collect(),
    };
    Ok(Read { request, is_raw })
}

fn read_input(input: InferInputTensor, raw_values: Option<Bytes>) -> Result<Tensor, Error> {
    let InferInputTensor { name, datatype, shape, parameters, contents } = input;
    let datatype = DataType::from_name(&datatype)
        .map_err(|error| Error::invalid(format!("input '{name}': {}", error.message())))?;
    let shape = shape_from_wire(&name, &shape)?;
    let data = match (raw_values, contents) {
        // An empty message is what some clients send beside raw values.
        (Some(_), Some(contents)) if contents != InferTensorContents::default() => {
            return Err(Error::invalid(format!(
                "input '{name}' has contents beside raw_input_contents, send one of them"
            )));
        }
        (Some(raw_values), _) => raw::read(&name, datatype, &shape, raw_values)?,
        (None, Some(contents)) => contents::read(&name, datatype, contents)?,
        (None, None) => {
            return Err(Error::invalid(format!(
                "input '{name}' has no tensor values, expected contents or raw_input_contents"
            )));
        }
    };
    Ok(Tensor::new(name, shape, data)?.with_parameters(read_parameters(parameters)))
}

fn read_parameters(parameters: BTreeMap<String, InferParameter>) -> Parameters {
    let chosen = parameters.into_iter().filter_map(|(name, parameter)| {
        let value = match parameter.parameter_choice? {
            ParameterChoice::BoolParam(value) => Parameter::Bool(value),
            ParameterChoice::Int64Param(value) => Parameter::Int64(value),
            ParameterChoice::StringParam(value) => Parameter::String(value),
            ParameterChoice::DoubleParam(value) => Parameter::Double(value),
            ParameterChoice::Uint64Param(value) => Parameter::Uint64(value),
        };
        Some((name, value))
    });
    chosen.collect()
}

/// Writes a response: raw if the request was, or if a datatype has no typed contents.
pub(super) fn write(envelope: Envelope, response: InferResponse) -> ModelInferResponse {
    let is_raw = envelope.is_raw || response.outputs.iter().any(|tensor| !contents::has_field(tensor.datatype()));
    let mut outputs = Vec::with_capacity(response.outputs.len());
    let mut raw_output_contents = Vec::new();
    for tensor in response.outputs {
        let mut output = InferOutputTensor {
            name: tensor.name.clone(),
            datatype: tensor.datatype().name().to_owned(),
            shape: shape_to_wire(tensor.shape()),
            parameters: write_parameters(&tensor.parameters),
            contents: None,
        };
        if is_raw {
            let mut values = Vec::with_capacity(raw::size(tensor.data()));
            raw::write(tensor.data(), &mut values);
            raw_output_contents.push(Bytes::from(values));
        } else {
            output.contents = contents::write(tensor.into_data());
        }
        outputs.push(output);
    }
    ModelInferResponse {
        model_name: envelope.model_name,
        model_version: envelope.model_version,
        id: envelope.id,
        parameters: write_parameters(&response.parameters),
        outputs,
        raw_output_contents,
    }
}

fn write_parameters(parameters: &Parameters) -> BTreeMap<String, InferParameter> {
    let written = parameters.iter().map(|(name, value)| {
        let choice = match value {
            Parameter::Bool(value) => ParameterChoice::BoolParam(*value),
            Parameter::Int64(value) => ParameterChoice::Int64Param(*value),
            Parameter::String(value) => ParameterChoice::StringParam(value.clone()),
            Parameter::Double(value) => ParameterChoice::DoubleParam(*value),
            Parameter::Uint64(value) => ParameterChoice::Uint64Param(*value),
        };
        (name.clone(), InferParameter { parameter_choice: Some(choice) })
    });
    written.collect()
}

/// An input or output as metadata describes it.
pub(super) fn write_spec(spec: &TensorSpec) -> TensorMetadata {
    TensorMetadata { name: spec.name.clone(), datatype: spec.datatype.name().to_owned(), shape: spec.shape.clone() }
}
