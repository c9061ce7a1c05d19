// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/wovensdn/woven/pkg/cli"
	"github.com/wovensdn/woven/pkg/cli/check"
	"github.com/wovensdn/woven/pkg/cli/cniserver"
	"github.com/wovensdn/woven/pkg/cli/controller"
	"github.com/wovensdn/woven/pkg/cli/sandbox"
)

func flagsPage(string) (string, error) {
	d := newDocument("Commands and flags", "Every command has `--help`, `--version` and `completion bash|zsh|fish|powershell`. "+
		"The CNI plugin `woven-cni` has no flags: the container runtime configures it by environment variables and standard input, as the CNI specification says.")
	for _, command := range []*cobra.Command{controller.NewCommand(), cniserver.NewCommand(), check.NewCommand(), sandbox.NewCommand()} {
		describe(d, command, 2)
	}
	return d.String(), nil
}

func describe(d *document, command *cobra.Command, level int) {
	d.heading(level, command.CommandPath())
	text := command.Long
	if text == "" {
		text = command.Short + "."
	}
	d.addf("%s\n", text)
	if command.Runnable() {
		d.addf("\n    %s\n", command.UseLine())
	}
	if command.Example != "" {
		d.addf("\nExamples:\n\n```sh\n%s\n```\n", outdent(command.Example))
	}
	describeFlags(d, command, level+1)
	for _, sub := range command.Commands() {
		if !sub.Hidden {
			describe(d, sub, level+1)
		}
	}
}

func describeFlags(d *document, command *cobra.Command, level int) {
	var sections []string
	rows := map[string][][]string{}
	command.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" || f.Name == "version" {
			return
		}
		section := cli.Section(f)
		if rows[section] == nil {
			sections = append(sections, section)
		}
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		kind, usage := pflag.UnquoteUsage(f)
		if kind == "" {
			kind = f.Value.Type()
		}
		rows[section] = append(rows[section], []string{code(name), kind, code(f.DefValue), usage})
	})
	for _, section := range sections {
		if section == "" {
			d.addf("\n")
		} else {
			d.heading(level, strings.ToUpper(section[:1])+section[1:])
		}
		d.table([]string{"flag", "type", "default", "meaning"}, rows[section])
	}
}

// outdent removes the indentation that examples have in the help.
func outdent(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], "  ")
	}
	return strings.Join(lines, "\n")
}
