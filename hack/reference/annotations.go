// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/wovensdn/woven/api/annotations"
)

// metadata is an annotation or a label, as the constants of package annotations describe it.
type metadata struct {
	constant, name, meaning string
	// on, by and value are the directives //woven:on, //woven:by and //woven:value; a repeated one continues the text.
	on, by, value string
}

func describeAnnotations(d *document, root string) error {
	all, err := readAnnotations(filepath.Join(root, "api", "annotations", "annotations.go"))
	if err != nil {
		return err
	}
	nics, links := map[string]bool{}, []string{}
	for _, m := range all {
		if strings.HasPrefix(m.constant, "Suffix") {
			nics[annotations.Key(annotations.DefaultProvider, m.name)] = true
		}
		links = append(links, "["+m.constant+"]", code(m.name))
	}
	names := strings.NewReplacer(links...)
	var keys, labels [][]string
	var ofNICs []string
	for _, m := range all {
		switch {
		case m.on == "" && strings.HasPrefix(m.constant, "Suffix"):
			continue // explained where it has its full name
		case m.on == "" || m.by == "" || m.value == "" || m.meaning == "":
			return fmt.Errorf("constant %s of package annotations: want a comment, //woven:on, //woven:by and //woven:value", m.constant)
		case strings.HasPrefix(m.constant, "Suffix"):
			m.name = annotations.Key(annotations.DefaultProvider, m.name)
		}
		row := []string{code(m.name), strings.ReplaceAll(m.on, ",", ", "), strings.ReplaceAll(m.by, ",", ", "), m.value, names.Replace(m.meaning)}
		if strings.HasPrefix(m.constant, "Label") {
			labels = append(labels, row)
			continue
		}
		keys = append(keys, row)
		if nics[m.name] {
			ofNICs = append(ofNICs, strings.TrimPrefix(m.name, "ovn.kubernetes.io/"))
		}
	}
	head := []string{"name", "on", "set by", "value", "meaning"}
	byName := func(a, b []string) int { return strings.Compare(a[0], b[0]) }
	slices.SortFunc(keys, byName)
	slices.SortFunc(labels, byName)
	slices.Sort(ofNICs)
	d.heading(2, "Annotations")
	d.table(head, keys)
	d.addf("\nFor a further interface of a pod, whose provider is `<name>.<namespace>.ovn`, the key begins with the provider instead of `ovn`: `<provider>.kubernetes.io/ip_address`. There are such keys for %s.\n", codes(ofNICs))
	d.heading(2, "Labels")
	d.table(head, labels)
	d.heading(2, "Finalizer")
	d.addf("Objects with the finalizer `%s` are deleted once the controller has removed their rows and released their addresses. It replaces `%s` where it finds it.\n",
		annotations.Finalizer, annotations.DeprecatedFinalizer)
	return nil
}

// readAnnotations reads the string constants that have a comment or are suffixes, in the order of the file.
func readAnnotations(path string) ([]metadata, error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
	if err != nil {
		return nil, fmt.Errorf("parse the annotations: %w", err)
	}
	var out []metadata
	for _, declaration := range file.Decls {
		constants, ok := declaration.(*ast.GenDecl)
		if !ok || constants.Tok != token.CONST || !constants.Lparen.IsValid() {
			continue // the finalizers and the provider stand alone
		}
		for _, spec := range constants.Specs {
			m, err := readConstant(spec)
			if err != nil {
				return nil, err
			}
			out = append(out, m)
		}
	}
	return out, nil
}

func readConstant(spec ast.Spec) (m metadata, err error) {
	value, ok := spec.(*ast.ValueSpec)
	if !ok || len(value.Names) != 1 || len(value.Values) != 1 {
		return m, fmt.Errorf("package annotations: want one constant in each line")
	}
	m.constant = value.Names[0].Name
	literal, ok := value.Values[0].(*ast.BasicLit)
	if !ok {
		return m, fmt.Errorf("constant %s of package annotations: want a string", m.constant)
	}
	if m.name, err = strconv.Unquote(literal.Value); err != nil {
		return m, fmt.Errorf("constant %s of package annotations: %w", m.constant, err)
	}
	if value.Doc == nil {
		return m, nil
	}
	m.meaning = sentence(m.constant, value.Doc.Text())
	for _, line := range value.Doc.List {
		for directive, into := range map[string]*string{"on": &m.on, "by": &m.by, "value": &m.value} {
			if text, ok := strings.CutPrefix(line.Text, "//woven:"+directive+" "); ok {
				*into = strings.TrimSpace(*into + " " + text)
			}
		}
	}
	return m, nil
}

// sentence turns the comment of a constant, which begins with its name, into a sentence that does not.
func sentence(constant, comment string) string {
	text := strings.TrimPrefix(strings.TrimSpace(comment), constant+" ")
	for _, verb := range []string{"is ", "holds "} {
		if rest, ok := strings.CutPrefix(text, verb); ok {
			text = rest
			break
		}
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
