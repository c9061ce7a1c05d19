// SPDX-License-Identifier: Apache-2.0

package compat

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Finding is something that an object sets and that has no effect.
type Finding struct {
	Field   string // path of the field; empty for the object as a whole
	Message string
	// Essential is set if the object as a whole does not work.
	Essential bool
}

// Ignored returns what an object of a kind sets and does not work, by field. spec points to its spec; it is nil for
// kinds whose fields are not listed.
func Ignored(kind string, o metav1.Object, spec any) []Finding {
	c, ok := checks[kind]
	if !ok {
		return nil
	}
	if c.kind.State == NotYet {
		return []Finding{{Message: "objects of kind " + kind + " are not supported yet and have no effect" + also(c.kind.Note), Essential: true}}
	}
	var out []Finding
	if spec != nil {
		out = c.fields(reflect.ValueOf(spec).Elem())
	}
	out = c.keys(out, c.annotations, "metadata.annotations[", o.GetAnnotations())
	out = c.keys(out, c.labels, "metadata.labels[", o.GetLabels())
	slices.SortStableFunc(out, func(a, b Finding) int { return strings.Compare(a.Field, b.Field) })
	return out
}

// check is a [Kind], indexed by what can be ignored.
type check struct {
	kind                Kind
	specs               []rowCheck
	annotations, labels keyChecks
	attachments         bool // annotations of further NICs are reported
}

// rowCheck is a [Row] that is ignored for some values.
type rowCheck struct {
	Row
	index  []int          // of a field
	values *regexp.Regexp // that work; nil if none does
}

// keyChecks are the rows of annotations or labels: by key, and those with a pattern.
type keyChecks struct {
	exact    map[string]rowCheck
	patterns []rowCheck
}

// checks are those of each kind, by name.
var checks = func() map[string]*check {
	out := map[string]*check{}
	for _, k := range Kinds {
		out[k.Name] = &check{
			kind: k, specs: fieldChecks(k), annotations: keyChecksOf(k.Annotations), labels: keyChecksOf(k.Labels), attachments: k.Name == kindPod,
		}
	}
	return out
}()

func newRowCheck(r Row) rowCheck {
	c := rowCheck{Row: r}
	if r.Values != "" {
		c.values = regexp.MustCompile(r.Values)
	}
	return c
}

func fieldChecks(k Kind) (out []rowCheck) {
	for _, r := range k.Fields {
		if !r.ignored() {
			continue
		}
		c := newRowCheck(r)
		c.index, _ = fieldIndex(k.Spec, r.Name)
		out = append(out, c)
	}
	return out
}

func keyChecksOf(list []Row) keyChecks {
	out := keyChecks{exact: map[string]rowCheck{}}
	for _, r := range list {
		switch {
		case !r.ignored():
		case strings.HasPrefix(r.Name, "*"):
			out.patterns = append(out.patterns, newRowCheck(r))
		default:
			out.exact[r.Name] = newRowCheck(r)
		}
	}
	return out
}

// fieldIndex finds a field by its path, for [reflect.Value.FieldByIndex]; ok is false for one inside of a list.
func fieldIndex(t reflect.Type, path string) (index []int, ok bool) {
	for name := range strings.SplitSeq(strings.TrimPrefix(path, "spec."), ".") {
		i := slices.IndexFunc(reflect.VisibleFields(t), func(f reflect.StructField) bool { return jsonName(f) == name })
		if i < 0 {
			return nil, false
		}
		f := reflect.VisibleFields(t)[i]
		index, t = append(index, f.Index...), f.Type
	}
	return index, true
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

func (c *check) fields(spec reflect.Value) (out []Finding) {
	vpc := spec.FieldByName("Vpc")
	otherVpc := vpc.IsValid() && vpc.String() != "" && vpc.String() != defaultVpc
	for _, r := range c.specs {
		value := spec.FieldByIndex(r.index)
		if !isSet(value) || r.DefaultVpc && !otherVpc {
			continue
		}
		if f, ignored := r.finding(r.Name, text(value)); ignored {
			out = append(out, f)
		}
	}
	return out
}

func text(v reflect.Value) string {
	if v.Kind() == reflect.String {
		return v.String()
	}
	return ""
}

// isSet reports whether a field has another value than that of an object without the field.
func isSet(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer:
		return !v.IsNil() && isSet(v.Elem())
	case reflect.Slice, reflect.Map:
		return v.Len() > 0
	case reflect.Struct:
		for i := range v.NumField() {
			if isSet(v.Field(i)) {
				return true
			}
		}
		return false
	default:
		return !v.IsZero()
	}
}

func (c *check) keys(out []Finding, k keyChecks, path string, set map[string]string) []Finding {
	for key, value := range set {
		r, ok := k.exact[key]
		for i := 0; !ok && i < len(k.patterns); i++ {
			r, ok = k.patterns[i], strings.HasSuffix(key, k.patterns[i].Name[1:])
		}
		switch {
		case off(value):
		case ok:
			if f, ignored := r.finding(path+key+"]", value); ignored {
				out = append(out, f)
			}
		case c.attachments && ofAttachment(key):
			out = append(out, Finding{Field: path + key + "]", Message: unsupported + also(noteAttachment)})
		}
	}
	return out
}

// off reports whether the value of an annotation requests nothing.
func off(value string) bool {
	return value == "" || value == "0" || strings.EqualFold(value, "false")
}

const unsupported = "it is not supported yet and has no effect"

func (r *rowCheck) finding(field, value string) (Finding, bool) {
	message := unsupported
	switch {
	case r.values != nil && r.values.MatchString(value):
		return Finding{}, false
	case r.values != nil:
		message = fmt.Sprintf("%q is not supported yet", value)
	case r.DefaultVpc:
		message = "it has no effect"
	}
	return Finding{Field: field, Message: message + also(r.Note), Essential: r.Essential != nil && r.Essential(value)}, true
}

func also(note string) string {
	if note == "" {
		return ""
	}
	return ": " + note
}

// ofAttachment reports whether an annotation is of a further NIC of a pod: its provider has a dot, and its suffix is
// one of those of the default NIC, perhaps with the name of an interface.
func ofAttachment(key string) bool {
	domain, suffix, ok := strings.Cut(key, "/")
	provider, ours := strings.CutSuffix(domain, ".kubernetes.io")
	if !ok || !ours || !strings.Contains(provider, ".") {
		return false
	}
	suffix, _, _ = strings.Cut(suffix, ".")
	return nicSuffixes[suffix]
}

// nicSuffixes are the suffixes of annotations of a NIC.
var nicSuffixes = func() map[string]bool {
	out := map[string]bool{}
	for _, r := range slices.Concat(nicAnnotations, nicResults) {
		out[strings.TrimPrefix(r.Name, ovnDomain)] = true
	}
	return out
}()
