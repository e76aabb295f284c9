"""What `blender --help` says on an emulated machine.

This file imports nothing from the rest of the package: the interpreter that has `bpy` does not have the package.
"""

from __future__ import annotations

HELP = """\
Usage: blender [args ...] [file] [args ...]

  -b, --background        Run in background: there is no display here, so that nothing runs without it.
  -a, --render-anim       Render frames from start to end (inclusive).
  -S, --scene <name>      Set the active scene <name> for rendering.
  -f, --render-frame <frame>
                          Render frames and save them: 3 or 1,3,5..8; +<n> from the start, -<n> from the end.
  -s, --frame-start <frame>
  -e, --frame-end <frame>
  -j, --frame-jump <frames>
  -o, --render-output <path>
                          // is the folder of the blend file, # the frame number.
  -E, --engine <engine>   "help" lists them.
  -t, --threads <threads> 0 uses every processor.
  -F, --render-format <format>
  -x, --use-extension <bool>
  -y, --enable-autoexec   Run the scripts and drivers of blend files that are marked to run by themselves.
  -Y, --disable-autoexec  Do not (the default).
  -P, --python <file>     Run a Python script.
      --python-text <name>
                          Run a text of the blend file.
      --python-expr <expression>
      --python-console    Read Python from the standard input.
      --python-exit-code <code>
                          Exit with this code when a script raises.
      --addons <addons>   Enable these add-ons: names with commas between them.
      --factory-startup   Skip the user's settings (always so here).
  -v, --version
  -h, --help
  --                      What follows is left to scripts.

Arguments about windows, logging, debugging, networks and graphics cards are taken and change nothing.

Arguments are executed in the order they are given.
"""
