# The images for amd64 and arm64, by a builder that knows both: `docker buildx create --use`, then, from the checkout,
#   REGISTRY=registry.example.com/team/ VERSION=0.2.0 docker buildx bake --file deploy/bake.hcl --push
# scripts/release builds them for the machine it runs on.

variable "REGISTRY" { default = "" }
variable "VERSION" { default = "unreleased" }
variable "REVISION" { default = "unknown" }
variable "PLATFORMS" { default = "linux/amd64,linux/arm64" }

group "default" { targets = ["service", "trainer", "searcher"] }

target "image" {
  matrix     = { name = ["service", "trainer", "searcher"] }
  name       = name
  context    = "."
  target     = name
  tags       = ["${REGISTRY}evenkeel-${name}:${VERSION}"]
  platforms  = split(",", PLATFORMS)
  args       = { VERSION = VERSION, REVISION = REVISION }
}
