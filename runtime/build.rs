//! Generates the gRPC messages and the service from `proto/`, without `protoc`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(["proto/inference.proto", "proto/model_runtime.proto"], ["proto"])?;
    tonic_prost_build::configure()
        // The client is for tests, ours and those of a user's own model types.
        .build_client(true)
        .build_transport(false)
        .bytes(".")
        .btree_map(".")
        .codec_path("crate::grpc::codec::ProstCodec")
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors)?;
    Ok(())
}
