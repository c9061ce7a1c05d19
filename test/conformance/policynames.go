// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// listPolicyTests returns the names "<test>/<subtest>" of a conformance suite of network-policy-api, in the order of
// its source in dir. A Go test program cannot list its subtests, but these are literals:
// suite.ConformanceTest{ShortName: "…", Test: func … t.Run("…", …)}.
func listPolicyTests(dir string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, fmt.Errorf("list the tests: %w", err)
	}
	var names []string
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("list the tests: %w", err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if literal, ok := n.(*ast.CompositeLit); ok {
				names = append(names, subtests(literal)...)
			}
			return true
		})
	}
	if len(names) == 0 {
		return nil, errors.New("list the tests: none found in " + dir)
	}
	return names, nil
}

// subtests returns the subtests of one ConformanceTest.
func subtests(literal *ast.CompositeLit) (names []string) {
	short := ""
	for _, element := range literal.Elts {
		field, ok := element.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		if key, ok := field.Key.(*ast.Ident); ok && key.Name == "ShortName" {
			short = text(field.Value)
		}
	}
	if short == "" {
		return nil
	}
	ast.Inspect(literal, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if function, ok := call.Fun.(*ast.SelectorExpr); ok && function.Sel.Name == "Run" && len(call.Args) == 2 {
			// Package testing replaces spaces the same way.
			names = append(names, short+"/"+strings.ReplaceAll(text(call.Args[0]), " ", "_"))
		}
		return true
	})
	return names
}

func text(e ast.Expr) string {
	literal, ok := e.(*ast.BasicLit)
	if !ok {
		return ""
	}
	value, _ := strconv.Unquote(literal.Value) // a literal of a file that parses
	return value
}

// withParents adds the tests of which no subtest is in run, so that they are not set up in vain.
func withParents(all, run []string) (others []string) {
	for _, name := range all {
		short, _, _ := strings.Cut(name, "/")
		runs := func(other string) bool { return strings.HasPrefix(other, short+"/") }
		switch {
		case slices.Contains(run, name):
		case slices.ContainsFunc(run, runs):
			others = append(others, name)
		case !slices.Contains(others, short):
			others = append(others, short)
		}
	}
	return others
}
