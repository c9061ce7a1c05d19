// SPDX-License-Identifier: Apache-2.0

// Package crd carries the CustomResourceDefinitions of Woven's API. The YAML
// files beside it are generated from package api/v1 by "make generate".
package crd

import (
	"embed"
	"fmt"
	"io/fs"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

//go:embed kubeovn.io_*.yaml
var files embed.FS

// Objects returns the CustomResourceDefinitions in the order of their names.
// Each call returns new objects. An error means that a file of this build is no
// CustomResourceDefinition; the tests of this package exclude that.
func Objects() ([]*apiextensionsv1.CustomResourceDefinition, error) {
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list CRD files: %w", err)
	}
	crds := make([]*apiextensionsv1.CustomResourceDefinition, 0, len(names))
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read CRD file: %w", err)
		}
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.UnmarshalStrict(text, crd); err != nil {
			return nil, fmt.Errorf("parse CRD file %s: %w", name, err)
		}
		crds = append(crds, crd)
	}
	return crds, nil
}
