;; The calls to the gateway of a header-tier decision, and no code: what ours would cost if deciding were free.
;; One read of all headers, four set on the request, two set and four removed on the answer, a context made and deleted.
(module
  (import "env" "proxy_get_header_map_pairs" (func $pairs (param i32 i32 i32) (result i32)))
  (import "env" "proxy_replace_header_map_value" (func $replace (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_remove_header_map_value" (func $remove (param i32 i32 i32) (result i32)))
  (memory (export "memory") 17)
  (data (i32.const 1000) "x-modelway-modelx-modelway-variantx-modelway-targetx-modelway-affinityx-modelway-versionx-modelway-pool")
  (data (i32.const 1200) "iris")
  (data (i32.const 1210) "stable")

  (func (export "proxy_abi_version_0_2_1"))
  (func (export "_initialize"))
  ;; The only allocation is the headers'.
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) i32.const 65536)
  (func (export "proxy_on_vm_start") (param i32 i32) (result i32) i32.const 1)
  (func (export "proxy_on_configure") (param i32 i32) (result i32) i32.const 1)
  (func (export "proxy_on_context_create") (param i32 i32))
  (func (export "proxy_on_delete") (param i32))

  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (drop (call $pairs (i32.const 0) (i32.const 2000) (i32.const 2004)))
    (drop (call $replace (i32.const 0) (i32.const 1000) (i32.const 16) (i32.const 1200) (i32.const 4)))
    (drop (call $replace (i32.const 0) (i32.const 1016) (i32.const 18) (i32.const 1210) (i32.const 6)))
    (drop (call $replace (i32.const 0) (i32.const 1034) (i32.const 17) (i32.const 1200) (i32.const 4)))
    (drop (call $replace (i32.const 0) (i32.const 1051) (i32.const 19) (i32.const 1200) (i32.const 4)))
    i32.const 0)

  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (drop (call $replace (i32.const 2) (i32.const 1000) (i32.const 16) (i32.const 1200) (i32.const 4)))
    (drop (call $replace (i32.const 2) (i32.const 1016) (i32.const 18) (i32.const 1210) (i32.const 6)))
    (drop (call $remove (i32.const 2) (i32.const 1034) (i32.const 17)))
    (drop (call $remove (i32.const 2) (i32.const 1051) (i32.const 19)))
    (drop (call $remove (i32.const 2) (i32.const 1070) (i32.const 18)))
    (drop (call $remove (i32.const 2) (i32.const 1088) (i32.const 15)))
    i32.const 0)
)
