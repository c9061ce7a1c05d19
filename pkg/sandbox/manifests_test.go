// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestWovenManifests(t *testing.T) {
	source, err := FindSource()
	if err != nil {
		t.Fatal(err)
	}
	files, err := wovenManifests(source)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := readManifests(files)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, object := range objects {
		kinds[object.GetKind()]++
	}
	if kinds["CustomResourceDefinition"] < 6 || kinds["ClusterRole"] < 2 || kinds["ValidatingAdmissionPolicy"] < 2 {
		t.Errorf("kinds %v", kinds)
	}
	if _, err := wovenManifests(t.TempDir()); err == nil {
		t.Error("a tree without CRDs is no error")
	}
}

func TestReadManifests(t *testing.T) {
	file := filepath.Join(t.TempDir(), "m.yaml")
	write := func(content string) {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# only a comment\n---\nkind: A\n---\n\n---\nkind: B\n")
	objects, err := readManifests([]string{file})
	if err != nil || len(objects) != 2 || objects[1].GetKind() != "B" {
		t.Errorf("%v, %v", objects, err)
	}
	write("kind: [\n")
	if _, err := readManifests([]string{file}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("broken YAML: %v", err)
	}
}

func TestEstablished(t *testing.T) {
	crd := func(status string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{"status": map[string]any{"conditions": []any{
			map[string]any{"type": "NamesAccepted", "status": "True"}, map[string]any{"type": "Established", "status": status},
		}}}}
	}
	if !established(crd("True")) || established(crd("False")) || established(&unstructured.Unstructured{}) {
		t.Error("established is not read from the condition")
	}
}
