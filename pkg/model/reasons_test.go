// SPDX-License-Identifier: Apache-2.0

package model_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/wovensdn/woven/pkg/model"
)

// reasonFiles are those of the registry itself.
var reasonFiles = regexp.MustCompile(`^model/reasons(_[a-z]+)?\.go$`)

// A reason that appears in the code is explained, and a reason that is explained appears in the code.
func TestReasonsAreExplained(t *testing.T) {
	declared, used := map[string]string{}, map[string]bool{}
	walkCode(t, func(path string, file *ast.File, positions *token.FileSet) {
		if reasonFiles.MatchString(path) {
			declaredReasons(file, declared)
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if literal := reasonOf(n); literal != nil {
				t.Errorf("%s: the reason %s is not a constant of pkg/model/reasons.go", positions.Position(literal.Pos()), literal.Value)
			}
			if id, ok := n.(*ast.Ident); ok && strings.HasPrefix(id.Name, "Reason") {
				used[id.Name] = true
			}
			return true
		})
	})
	if len(declared) == 0 {
		t.Fatal("no reasons found")
	}
	explained := map[string]bool{}
	for _, r := range model.Reasons {
		if explained[r.Name] {
			t.Errorf("%s is explained twice", r.Name)
		}
		explained[r.Name] = true
	}
	for constant, name := range declared {
		if !explained[name] {
			t.Errorf("model.Reasons does not explain %s (%s)", constant, name)
		}
		if !used[constant] {
			t.Errorf("%s (%s) is used nowhere", constant, name)
		}
		delete(explained, name)
	}
	for name := range explained {
		t.Errorf("model.Reasons explains %s, which is not a constant of pkg/model/reasons.go", name)
	}
}

func TestReasonsAreComplete(t *testing.T) {
	name := regexp.MustCompile(`^([A-Z][a-z]*|IP|IPAM|VM)+$`)
	for _, r := range model.Reasons {
		if !name.MatchString(r.Name) {
			t.Errorf("%q is not in CamelCase", r.Name)
		}
		if len(r.On) == 0 || !strings.HasSuffix(r.Meaning, ".") {
			t.Errorf("%s: kinds %v, meaning %q: want at least one kind, and a sentence", r.Name, r.On, r.Meaning)
		}
		if (r.Class == model.ReasonOfCondition) != (r.Condition != "") {
			t.Errorf("%s: a reason of a condition names the condition, and no other does: %q", r.Name, r.Condition)
		}
		fine := r.Class == model.ReasonOfCondition && !strings.HasSuffix(r.Condition, "Ready=False") && !strings.HasSuffix(r.Condition, "NetworkUnavailable=True")
		if !fine && !strings.HasSuffix(r.Remedy, ".") {
			t.Errorf("%s: remedy %q: want a sentence", r.Name, r.Remedy)
		}
	}
}

// walkCode parses every Go file below pkg that is neither a test nor generated.
func walkCode(t *testing.T, visit func(path string, file *ast.File, positions *token.FileSet)) {
	t.Helper()
	code := os.DirFS("..")
	err := fs.WalkDir(code, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "ovsdb/") {
			return err
		}
		text, err := fs.ReadFile(code, path)
		if err != nil {
			return err
		}
		positions := token.NewFileSet()
		file, err := parser.ParseFile(positions, "pkg/"+path, text, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		visit(path, file, positions)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func declaredReasons(file *ast.File, into map[string]string) {
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for i, name := range spec.Names {
			if i >= len(spec.Values) || !strings.HasPrefix(name.Name, "Reason") {
				continue
			}
			if literal, ok := spec.Values[i].(*ast.BasicLit); ok && literal.Kind == token.STRING {
				into[name.Name], _ = strconv.Unquote(literal.Value)
			}
		}
		return true
	})
}

// reasonOf finds a string literal where a reason belongs: in a field Reason or reason of a literal, in an assignment to
// one, as the first argument of problem, or as the fourth one of Eventf.
func reasonOf(n ast.Node) *ast.BasicLit {
	switch n := n.(type) {
	case *ast.KeyValueExpr:
		if id, ok := n.Key.(*ast.Ident); ok && strings.EqualFold(id.Name, "reason") {
			return literal(n.Value)
		}
	case *ast.AssignStmt:
		for i, left := range n.Lhs {
			if field, ok := left.(*ast.SelectorExpr); ok && field.Sel.Name == "Reason" && i < len(n.Rhs) {
				return literal(n.Rhs[i])
			}
		}
	case *ast.CallExpr:
		called, ok := n.Fun.(*ast.SelectorExpr)
		switch {
		case !ok:
		case called.Sel.Name == "problem" && len(n.Args) > 0:
			return literal(n.Args[0])
		case called.Sel.Name == "Eventf" && len(n.Args) > 3:
			return literal(n.Args[3])
		}
	}
	return nil
}

func literal(e ast.Expr) *ast.BasicLit {
	if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING && lit.Value != `""` {
		return lit
	}
	return nil
}
