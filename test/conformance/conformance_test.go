// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSkipsFileIsValid(t *testing.T) {
	skips, err := readSkips(skipsFile)
	if err != nil || len(skips[suiteKubernetes]) == 0 || len(skips[suitePolicies]) == 0 {
		t.Fatalf("%v: %v", skips, err)
	}
}

func TestBadSkipsAreRefused(t *testing.T) {
	for name, test := range map[string]struct{ entry, want string }{
		"another reason":            {"{specs: x, reason: flaky, why: y}", "reason"},
		"no reason":                 {"{specs: x, why: y}", "reason"},
		"no explanation":            {"{specs: x, reason: no cloud provider}", "why"},
		"no expression":             {"{reason: no cloud provider, why: y}", "specs"},
		"bad expression":            {"{specs: '(', reason: no cloud provider, why: y}", "specs"},
		"unknown feature":           {"{specs: x, reason: kernel feature missing, why: y, feature: warp}", "feature"},
		"kernel without feature":    {"{specs: x, reason: kernel feature missing, why: y}", "feature"},
		"feature for other reasons": {"{specs: x, reason: no cloud provider, why: y, feature: sctp}", "feature"},
		"unknown suite":             {"{suite: x, specs: x, reason: no cloud provider, why: y}", "suite"},
		"unknown field":             {"{specs: x, reason: no cloud provider, why: y, since: z}", "since"},
	} {
		if _, err := readSkips([]byte("skips:\n- " + test.entry + "\n")); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestChoose(t *testing.T) {
	const (
		local   = "[sig-network] Services should be local"
		sctp    = "[sig-network] Netpol [Feature:SCTPConnectivity] should drop"
		cloud   = "[sig-network] LoadBalancers should balance"
		proxy   = "[sig-network] Services should work after restarting kube-proxy [Disruptive]"
		storage = "[sig-storage] Volumes should hold [Conformance]"
	)
	entries, err := readSkips([]byte("skips:\n- {specs: LoadBalancers, reason: no cloud provider, why: x}\n- {specs: SCTP, reason: kernel feature missing, feature: sctp, why: x}\n"))
	if err != nil {
		t.Fatal(err)
	}
	skips := entries[suiteKubernetes]
	all := func(string) bool { return true }
	specs := slices.DeleteFunc([]string{local, sctp, cloud, proxy, storage}, func(spec string) bool { return !aboutNetwork(spec) })
	for _, test := range []struct {
		sctp bool
		run  []string
		left int
	}{{true, []string{local, sctp}, 1}, {false, []string{local}, 2}} {
		chosen, err := choose(specs, skips, func(string) bool { return test.sctp }, all)
		if err != nil || !slices.Equal(chosen.run, test.run) || len(chosen.left) != test.left {
			t.Errorf("sctp %t: %v, %v", test.sctp, chosen, err)
		}
	}
	// A narrower selection makes no entry stale; a removed spec does.
	none := func(string) bool { return false }
	if chosen, err := choose(specs, skips, hasFeature, none); err != nil || len(chosen.run)+len(chosen.left) > 0 {
		t.Errorf("nothing wanted: %v, %v", chosen, err)
	}
	if _, err := choose([]string{local, sctp}, skips, hasFeature, all); err == nil || !strings.Contains(err.Error(), "LoadBalancers") {
		t.Errorf("a stale entry: %v, want an error", err)
	}
}

func TestParseSpecs(t *testing.T) {
	specs, err := parseSpecs("The following spec names can be used with 'ginkgo run --focus/skip':\n    a/b.go:25: [sig-x] does: this\n    c.go:1: [sig-y] that\n\n")
	if err != nil || !slices.Equal(specs, []string{"[sig-x] does: this", "[sig-y] that"}) {
		t.Errorf("%q, %v", specs, err)
	}
	if _, err := parseSpecs("nothing"); err == nil {
		t.Error("a list without specs is no error")
	}
}

func TestReport(t *testing.T) {
	raw, err := os.ReadFile("testdata/report.json")
	if err != nil {
		t.Fatal(err)
	}
	results, err := readReport(raw)
	if err != nil {
		t.Fatal(err)
	}
	s := summary{suite: "Kubernetes", results: results, missing: missing([]string{"[sig-a] x passes", "[sig-a] x is gone"}, results), log: "dir/log"}
	if s.count(passed) != 1 || s.count(failed) != 2 || s.count(skippedItself) != 1 || s.good() {
		t.Errorf("%+v", results)
	}
	var out bytes.Buffer
	s.print(&out)
	for _, want := range []string{
		"Kubernetes: 1 passed, 3 failed, 1 skipped", "FAILED [sig-a] x fails\n      it broke here (x.go:7)", "FAILED BeforeSuite",
		"SKIPPED ITSELF [sig-a] x skips\n      no nodes", "NOT RUN [sig-a] x is gone",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func clock() func() time.Time {
	return func() time.Time { return time.Unix(0, 0) }
}

func TestSpecLines(t *testing.T) {
	var out bytes.Buffer
	lines := &specLines{count: newCounter(&out, clock(), 3)}
	for _, piece := range []string{
		"SSS\n------------------------------\n• [2.5 sec", "onds]\n[sig-network] DNS should work [Conformance] [sig-network, Conformance]\nx.go:3\n",
		"• [FAILED] [12 seconds]\n[sig-network] DNS [It] should not [sig-network]\n", "S [SKIPPED] [0.1 seconds]\n[sig-network] DNS [It] might [sig-network]\n",
		"[ReportAfterSuite] PASSED [0.1 seconds]\n[sig-network] no header\n",
	} {
		if _, err := lines.Write([]byte(piece)); err != nil {
			t.Fatal(err)
		}
	}
	const want = "    0 s    1 of 3, 0 failed  ok      [sig-network] DNS should work [Conformance]\n" +
		"    0 s    2 of 3, 1 failed  FAILED  [sig-network] DNS should not\n" +
		"    0 s    3 of 3, 1 failed  skipped [sig-network] DNS might\n"
	if out.String() != want {
		t.Errorf("%s", out.String())
	}
}

func TestVerdicts(t *testing.T) {
	var out bytes.Buffer
	v := &verdicts{count: newCounter(&out, clock(), 3), output: map[string][]string{}}
	_, _ = v.Write([]byte("=== RUN   TestConformance\n=== RUN   TestConformance/A\n=== RUN   TestConformance/A/one\n=== RUN   TestConformance/A/two\n" +
		"    helper.go:3: no connection\n=== RUN   TestConformance/B\n=== RUN   TestConformance/B/three\n    helper.go:3: fine\n" +
		"--- FAIL: TestConformance (1.20s)\n    --- FAIL: TestConformance/A (1.10s)\n        --- PASS: TestConformance/A/one (0.10s)\n" +
		"        --- FAIL: TestConformance/A/two (1.00s)\n    --- PASS: TestConformance/B (0.00s)\n        --- PASS: TestConformance/B/three (0.00s)\nFAIL\n"))
	var names []string
	for _, r := range v.leaves() {
		names = append(names, r.name+" "+r.state.String())
	}
	if want := []string{"A/one ok", "A/two FAILED", "B/three ok"}; !slices.Equal(names, want) {
		t.Errorf("%q", names)
	}
	if !strings.Contains(v.leaves()[1].message, "no connection") {
		t.Errorf("%q", v.leaves()[1].message)
	}
	if strings.Count(out.String(), "\n") != 3 {
		t.Errorf("progress:\n%s", out.String())
	}
}

func TestPolicyTests(t *testing.T) {
	all, err := listPolicyTests("testdata/policytests")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"First/allows_it;_at_once", "First/denies_it", "Second/passes"}; !slices.Equal(all, want) {
		t.Errorf("%q", all)
	}
	others := withParents(all, []string{"First/denies_it"})
	if want := []string{"First/allows_it;_at_once", "Second"}; !slices.Equal(others, want) {
		t.Errorf("%q", others)
	}
	if got, want := except(others), "^TestConformance$/^First$/^allows_it;_at_once$|^TestConformance$/^Second$"; got != want {
		t.Errorf("%s", got)
	}
	if _, err := listPolicyTests("testdata"); err == nil {
		t.Error("a directory without tests is no error")
	}
}
