// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/wovensdn/woven/config/crd"
)

func apiPage(root string) (string, error) {
	d := newDocument("API", "The kinds of `kubeovn.io/v1` with every field, and every annotation, label and finalizer. The kinds are cluster-scoped. "+
		"`kubectl explain subnet.spec` shows the same texts.")
	crds, err := crd.Objects()
	if err != nil {
		return "", err
	}
	for _, definition := range crds {
		describeKind(d, definition)
	}
	if err := describeAnnotations(d, root); err != nil {
		return "", err
	}
	return d.String(), nil
}

func describeKind(d *document, definition *apiextensionsv1.CustomResourceDefinition) {
	names := definition.Spec.Names
	for _, version := range definition.Spec.Versions {
		schema := version.Schema.OpenAPIV3Schema
		d.heading(2, names.Kind)
		d.addf("%s\n", schema.Description)
		d.addf("\nResource %s in %s/%s.", code(names.Plural), definition.Spec.Group, version.Name)
		if len(names.ShortNames) > 0 {
			d.addf(" Short names: %s.", codes(names.ShortNames))
		}
		d.addf("\n")
		for _, part := range []string{"spec", "status"} {
			properties, ok := schema.Properties[part]
			if !ok {
				continue
			}
			var rows [][]string
			fields(part, &properties, &rows)
			d.heading(3, names.Kind+" "+part)
			d.addf("%s\n\n", properties.Description)
			for _, rule := range properties.XValidations {
				d.addf("- %s\n", ruleText(rule))
			}
			if len(properties.XValidations) > 0 {
				d.addf("\n")
			}
			d.table([]string{"field", "type", "default", "validation", "meaning"}, rows)
		}
		for _, rule := range schema.XValidations {
			d.addf("\n- %s\n", ruleText(rule))
		}
	}
}

// fields appends a row for each field below a schema, in the order of their names.
func fields(path string, schema *apiextensionsv1.JSONSchemaProps, rows *[][]string) {
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		field := schema.Properties[name]
		full := path + "." + name
		validation := constraints(&field)
		if slices.Contains(schema.Required, name) {
			validation = slices.Insert(validation, 0, "required")
		}
		preset := ""
		if field.Default != nil {
			preset = code(string(field.Default.Raw))
		}
		*rows = append(*rows, []string{code(full), typeOf(&field), preset, strings.Join(validation, "; "), field.Description})
		switch {
		case field.Items != nil && field.Items.Schema != nil:
			fields(full+"[]", field.Items.Schema, rows)
		case field.AdditionalProperties != nil && field.AdditionalProperties.Schema != nil:
			fields(full+"[KEY]", field.AdditionalProperties.Schema, rows)
		default:
			fields(full, &field, rows)
		}
	}
}

func typeOf(schema *apiextensionsv1.JSONSchemaProps) string {
	switch {
	case schema.XIntOrString:
		return "integer or string"
	case schema.Items != nil && schema.Items.Schema != nil:
		return "list of " + typeOf(schema.Items.Schema)
	case schema.AdditionalProperties != nil && schema.AdditionalProperties.Schema != nil:
		return "map of " + typeOf(schema.AdditionalProperties.Schema)
	case schema.Format != "":
		return schema.Type + " (" + schema.Format + ")"
	}
	return schema.Type
}

// constraints lists what the API server checks of a field, and of the elements of a list.
func constraints(schema *apiextensionsv1.JSONSchemaProps) []string {
	var out []string
	if len(schema.Enum) > 0 {
		values := make([]string, len(schema.Enum))
		for i, value := range schema.Enum {
			values[i] = string(value.Raw)
		}
		out = append(out, "one of "+codes(values))
	}
	if schema.Minimum != nil {
		out = append(out, fmt.Sprintf("minimum %g", *schema.Minimum))
	}
	if schema.Maximum != nil {
		out = append(out, fmt.Sprintf("maximum %.0f", *schema.Maximum))
	}
	for _, limit := range []struct {
		value *int64
		text  string
	}{
		{schema.MinLength, "at least %d characters"},
		{schema.MaxLength, "at most %d characters"},
		{schema.MinItems, "at least %d elements"},
		{schema.MaxItems, "at most %d elements"},
		{schema.MinProperties, "at least %d keys"},
		{schema.MaxProperties, "at most %d keys"},
	} {
		if limit.value != nil {
			out = append(out, fmt.Sprintf(limit.text, *limit.value))
		}
	}
	if schema.Pattern != "" {
		out = append(out, "pattern "+code(schema.Pattern))
	}
	for _, rule := range schema.XValidations {
		out = append(out, ruleText(rule))
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		for _, of := range constraints(schema.Items.Schema) {
			out = append(out, "each element: "+of)
		}
	}
	return out
}

func ruleText(rule apiextensionsv1.ValidationRule) string {
	if rule.Message != "" {
		return rule.Message
	}
	return code(rule.Rule)
}
