// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
)

const fieldManager = "woven-sandbox"

// wovenManifests are the files of the source tree to apply before Woven's programs start.
func wovenManifests(source string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(source, "config", "crd", "*.yaml"))
	if err != nil {
		return nil, fmt.Errorf("find Woven's CRDs: %w", err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no CRDs in %s", filepath.Join(source, "config", "crd"))
	}
	for _, part := range []string{"rbac", "admission"} {
		more, err := filepath.Glob(filepath.Join(source, "config", part, "*.yaml"))
		if err != nil {
			return nil, fmt.Errorf("find Woven's manifests: %w", err)
		}
		files = append(files, more...)
	}
	return files, nil
}

// readManifests decodes files of YAML documents.
func readManifests(files []string) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	for _, file := range files {
		raw, err := os.ReadFile(file) // #nosec G304 -- the source tree
		if err != nil {
			return nil, fmt.Errorf("read a manifest: %w", err)
		}
		decoded, err := decodeManifest(raw)
		if err != nil {
			return nil, fmt.Errorf("decode manifest %s: %w", file, err)
		}
		objects = append(objects, decoded...)
	}
	return objects, nil
}

// decodeManifest decodes YAML documents and skips empty ones.
func decodeManifest(raw []byte) (objects []*unstructured.Unstructured, err error) {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(raw), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

// apply writes objects with server-side apply.
func (c *Cluster) apply(ctx context.Context, objects []*unstructured.Unstructured) error {
	config, err := c.RESTConfig()
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("create a client: %w", err)
	}
	disco, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return fmt.Errorf("create a discovery client: %w", err)
	}
	groups, err := restmapper.GetAPIGroupResources(disco)
	if err != nil {
		return fmt.Errorf("discover the API server's resources: %w", err)
	}
	mapper := restmapper.NewDiscoveryRESTMapper(groups)
	for _, object := range objects {
		kind := object.GroupVersionKind()
		mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
		if err != nil {
			return fmt.Errorf("find the resource of %s %s: %w", kind.Kind, object.GetName(), err)
		}
		resource := client.Resource(mapping.Resource)
		_, err = resource.Namespace(object.GetNamespace()).Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
		if err != nil {
			return fmt.Errorf("apply %s %s: %w", kind.Kind, object.GetName(), err)
		}
	}
	return c.waitEstablished(ctx, client, objects)
}

// waitEstablished waits until the API server serves the CRDs among objects.
func (c *Cluster) waitEstablished(ctx context.Context, client dynamic.Interface, objects []*unstructured.Unstructured) error {
	for _, object := range objects {
		kind := object.GroupVersionKind()
		if kind.Kind != "CustomResourceDefinition" {
			continue
		}
		resource := client.Resource(kind.GroupVersion().WithResource("customresourcedefinitions"))
		err := waitUntil(ctx, statusInterval, func() bool {
			current, err := resource.Get(ctx, object.GetName(), metav1.GetOptions{})
			return err == nil && established(current)
		})
		if err != nil {
			return fmt.Errorf("wait for CRD %s to be served: %w", object.GetName(), err)
		}
	}
	return nil
}

func established(crd *unstructured.Unstructured) bool {
	conditions, _, err := unstructured.NestedSlice(crd.Object, "status", "conditions")
	return err == nil && slices.ContainsFunc(conditions, func(entry any) bool {
		condition, ok := entry.(map[string]any)
		return ok && condition["type"] == "Established" && condition["status"] == "True"
	})
}
