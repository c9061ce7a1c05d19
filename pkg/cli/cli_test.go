// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/wovensdn/woven/pkg/cli"
	"github.com/wovensdn/woven/pkg/cli/check"
	"github.com/wovensdn/woven/pkg/cli/cniserver"
	"github.com/wovensdn/woven/pkg/cli/controller"
	"github.com/wovensdn/woven/pkg/cli/sandbox"
	"github.com/wovensdn/woven/pkg/version"
)

var commands = map[string]func() *cobra.Command{
	"woven-check": check.NewCommand, "woven-cniserver": cniserver.NewCommand,
	"woven-controller": controller.NewCommand, "woven-sandbox": sandbox.NewCommand,
}

// output runs a command and returns what it prints to standard output.
func output(t *testing.T, command *cobra.Command, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	command.SetOut(&out)
	command.SetArgs(args)
	if err := cli.Execute(t.Context(), command); err != nil {
		t.Fatalf("%s %s: %v", command.Name(), strings.Join(args, " "), err)
	}
	return out.String()
}

func TestEveryCommandExplainsItself(t *testing.T) {
	for name, command := range commands {
		t.Run(name, func(t *testing.T) {
			if got, want := output(t, command(), "--version"), name+" version "+version.String()+"\n"; got != want {
				t.Errorf("--version prints %q, want %q", got, want)
			}
			help := output(t, command(), "--help")
			for _, want := range []string{"Usage:", "Examples:", "\n  source <(" + name + " completion bash)"} {
				if !strings.Contains(help, want) {
					t.Errorf("--help does not contain %q:\n%s", want, help)
				}
			}
			for line := range strings.Lines(command().Long + "\n" + command().Example) {
				if len(line) > cli.Columns+1 {
					t.Errorf("line of the help is longer than %d: %q", cli.Columns, line)
				}
			}
			for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
				if got := output(t, command(), "completion", shell); !strings.Contains(got, name) {
					t.Errorf("completion %s prints %q", shell, got)
				}
			}
			if got := output(t, command(), "completion", "bash", "--help"); !strings.Contains(got, "Generate the autocompletion script for the bash shell.") {
				t.Errorf("completion bash --help prints %q", got)
			}
		})
	}
}

func TestRun(t *testing.T) {
	var out bytes.Buffer
	var result error
	command := cli.Defaults(&cobra.Command{Use: "program", RunE: func(*cobra.Command, []string) error { return result }})
	command.SetArgs([]string{})
	command.SetErr(&out)
	if status := cli.Run(t.Context(), command); status != 0 || out.Len() > 0 {
		t.Errorf("without an error: status %d, printed %q", status, out.String())
	}
	result = errors.New("disk is full")
	if status := cli.Run(t.Context(), command); status != 1 || out.String() != "program: disk is full\n" {
		t.Errorf("with an error: status %d, printed %q", status, out.String())
	}
}
