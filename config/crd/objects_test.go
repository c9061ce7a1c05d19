// SPDX-License-Identifier: Apache-2.0

package crd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	v1 "github.com/wovensdn/woven/api/v1"
)

// celBudget is what an API server grants the CEL rules of one object.
const celBudget = 10_000_000

// validators checks objects as an API server does.
type validators struct {
	structural map[string]*schema.Structural
	schemas    map[string]validation.SchemaValidator
	rules      map[string]*cel.Validator
}

func newValidators(t *testing.T) *validators {
	t.Helper()
	v := &validators{
		structural: map[string]*schema.Structural{},
		schemas:    map[string]validation.SchemaValidator{},
		rules:      map[string]*cel.Validator{},
	}
	for kind, c := range objects(t) {
		s, err := schema.NewStructural(c.Spec.Validation.OpenAPIV3Schema)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		v.structural[kind] = s
		if v.schemas[kind], _, err = validation.NewSchemaValidator(c.Spec.Validation.OpenAPIV3Schema); err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		v.rules[kind] = cel.NewValidator(s, true, celBudget)
	}
	return v
}

// check returns the errors of an object; old is nil for a creation. It sets the
// defaults of obj and reports fields that the schema does not know.
func (v *validators) check(ctx context.Context, obj, old map[string]any) field.ErrorList {
	kind, _ := obj["kind"].(string)
	s, ok := v.structural[kind]
	if !ok {
		return field.ErrorList{field.NotSupported(field.NewPath("kind"), kind, []string{"Vpc", "Subnet"})}
	}
	defaulting.Default(obj, s)
	var errs field.ErrorList
	for _, unknown := range pruning.PruneWithOptions(obj, s, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}) {
		errs = append(errs, field.Invalid(field.NewPath(unknown), nil, "unknown field"))
	}
	errs = append(errs, validation.ValidateCustomResource(nil, obj, v.schemas[kind])...)
	var oldObj any
	if old != nil {
		oldObj = old
	}
	ruleErrs, _ := v.rules[kind].Validate(ctx, nil, s, obj, oldObj, math.MaxInt64)
	return append(errs, ruleErrs...)
}

func parse(t *testing.T, text string) map[string]any {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatalf("parse %s: %v", text, err)
	}
	var obj map[string]any
	if err := utiljson.Unmarshal(data, &obj); err != nil {
		t.Fatalf("parse %s: %v", data, err)
	}
	return obj
}

// samples returns the objects under config/samples, by file and position.
func samples(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../samples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	out := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, doc := range strings.Split(string(text), "\n---\n") {
			out[fmt.Sprintf("%s#%d", filepath.Base(file), i)] = doc
		}
	}
	return out
}

func TestSamplesAreAccepted(t *testing.T) {
	v := newValidators(t)
	seen := map[string]bool{}
	for name, text := range samples(t) {
		obj := parse(t, text)
		seen[fmt.Sprint(obj["kind"])] = true
		if errs := v.check(t.Context(), obj, nil); len(errs) > 0 {
			t.Errorf("%s: %v", name, errs.ToAggregate())
		}
		if errs := v.check(t.Context(), obj, obj); len(errs) > 0 {
			t.Errorf("%s, unchanged update: %v", name, errs.ToAggregate())
		}
	}
	if len(seen) != len(v.rules) {
		t.Errorf("samples are of kinds %v, want one of every kind", seen)
	}
}

// TestSamplesSurviveGo decodes every sample strictly into the Go types and
// encodes it again: nothing that was written may be lost, and what the Go types
// write in addition must be valid too.
func TestSamplesSurviveGo(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	v := newValidators(t)
	for name, text := range samples(t) {
		typed, _, err := decoder.Decode([]byte(text), nil, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		data, err := json.Marshal(typed)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		back := parse(t, string(data))
		if errs := v.check(t.Context(), back, nil); len(errs) > 0 {
			t.Errorf("%s, written by Go: %v", name, errs.ToAggregate())
		}
		if lost := missing("", parse(t, text), back); len(lost) > 0 {
			t.Errorf("%s: lost or changed: %v", name, lost)
		}
	}
}

// missing returns the paths of values in want that got does not have.
func missing(path string, want, got any) []string {
	switch w := want.(type) {
	case map[string]any:
		g, _ := got.(map[string]any)
		var out []string
		for k := range w {
			out = append(out, missing(path+"."+k, w[k], g[k])...)
		}
		return out
	case []any:
		g, _ := got.([]any)
		if len(g) != len(w) {
			return []string{path}
		}
		var out []string
		for i := range w {
			out = append(out, missing(fmt.Sprintf("%s[%d]", path, i), w[i], g[i])...)
		}
		return out
	default:
		// omitempty leaves out false and 0 where the field has no meaning without them.
		if got == nil && (want == false || want == "") {
			return nil
		}
		if !cmp.Equal(want, got) {
			return []string{fmt.Sprintf("%s: %v became %v", path, want, got)}
		}
		return nil
	}
}

// TestBigCountersAreAccepted: numbers beyond 2^63 in a status are valid, and our
// client reads them back, even when a server has made floats of them.
func TestBigCountersAreAccepted(t *testing.T) {
	v := newValidators(t)
	const count = "18446744073709551613"
	var n v1.BigInt
	if err := n.UnmarshalJSON([]byte(count)); err != nil {
		t.Fatal(err)
	}
	subnet := &v1.Subnet{
		Spec:   v1.SubnetSpec{CIDRBlock: "fd00::/64"},
		Status: v1.SubnetStatus{V6AvailableIPs: n, V6UsingIPs: v1.BigIntOf(3)},
	}
	subnet.APIVersion, subnet.Kind, subnet.Name = v1.GroupVersion.String(), "Subnet", "big"
	data, err := json.Marshal(subnet)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(data, []byte(`"v6availableIPs":`+count+",")) {
		t.Errorf("counter is not a plain number in %s", data)
	}
	stored := parse(t, string(data)) // as an API server: a float64
	if errs := v.check(t.Context(), stored, nil); len(errs) > 0 {
		t.Errorf("refused: %v", errs.ToAggregate())
	}
	data, err = json.Marshal(stored)
	if err != nil {
		t.Fatal(err)
	}
	var back v1.Subnet
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if got := back.Status.V6AvailableIPs.String(); got != "18446744073709552000" {
		t.Errorf("the float of %s is read as %s", count, got)
	}
	if got := back.Status.V6UsingIPs; got != v1.BigIntOf(3) {
		t.Errorf("3 is read as %s", got)
	}
}
