-- What each output format needs beyond Markdown: boxes, key figures, and the kind of image it can show.

local function has(div, class)
  return div.classes:includes(class)
end

local function raw(text)
  return pandoc.RawBlock('typst', text)
end

local function wrapped(opening, blocks, closing)
  local all = pandoc.Blocks({raw(opening)})
  all:extend(blocks)
  all:insert(raw(closing))
  return all
end

-- Word takes a style for paragraphs, not for the bare lines that a cell holds.
local function styled(name, blocks)
  local paragraphs = pandoc.Blocks(blocks):walk({Plain = function(plain) return pandoc.Para(plain.content) end})
  return pandoc.Blocks({pandoc.Div(paragraphs, pandoc.Attr('', {}, {['custom-style'] = name}))})
end

local function key_figures(div)
  local cells = div.content:filter(function(block) return block.t == 'Div' and has(block, 'keyfigure') end)
  if FORMAT:match 'typst' then
    local all = pandoc.Blocks({raw('#key-figures(')})
    for _, cell in ipairs(cells) do
      all:extend(wrapped('[', cell.content, '],'))
    end
    all:insert(raw(')'))
    return all
  end
  if FORMAT:match 'docx' then
    local aligns, widths, row = {}, {}, {}
    for index, cell in ipairs(cells) do
      local number, meaning = pandoc.Blocks({cell.content[1]}), pandoc.Blocks({table.unpack(cell.content, 2)})
      row[index] = styled('Key Figure', number) .. styled('Table Text', meaning)
      aligns[index], widths[index] = 'AlignCenter', 1 / #cells
    end
    local figures = pandoc.utils.from_simple_table(pandoc.SimpleTable({}, aligns, widths, {}, {row}))
    figures.classes = {'keyfigures'}
    return figures
  end
end

local function Div(div)
  if has(div, 'keyfigures') then
    return key_figures(div)
  end
  if has(div, 'banner') then
    if FORMAT:match 'typst' then
      return wrapped('#banner[', div.content, ']')
    end
    if FORMAT:match 'docx' then
      div.attributes['custom-style'] = 'Banner'
      return div
    end
  end
end

-- Word shows SVG only with a bitmap beside it; the bitmap alone is the same picture.
local function Image(image)
  if FORMAT:match 'docx' then
    image.src = image.src:gsub('%.svg$', '.png')
    image.attributes.width = '100%'
    return image
  end
end

-- A long header is broken at a blank, and its unit goes below its name, so that columns stay narrow.
local longest_line = 16

local function in_short_lines(inlines)
  local lines, length = pandoc.Inlines({}), 0
  for index, inline in ipairs(inlines) do
    local following = inlines[index + 1]
    local text = pandoc.utils.stringify(inline)
    local is_unit = following and pandoc.utils.stringify(following):match('^%(')
    local overflows = following and length + 1 + utf8.len(pandoc.utils.stringify(following)) > longest_line
    if inline.t == 'Str' and text:find('.（') then
      local at = text:find('（')
      lines:extend({pandoc.Str(text:sub(1, at - 1)), pandoc.LineBreak(), pandoc.Str(text:sub(at))})
    elseif inline.t == 'Space' and length > 0 and (is_unit or overflows) then
      lines:insert(pandoc.LineBreak())
      length = 0
    else
      lines:insert(inline)
      length = length + utf8.len(text)
    end
  end
  return lines
end

local function with_narrow_headers(tbl)
  for _, row in ipairs(tbl.head.rows) do
    for _, cell in ipairs(row.cells) do
      cell.contents = cell.contents:walk({Plain = function(plain) return pandoc.Plain(in_short_lines(plain.content)) end})
    end
  end
  return tbl
end

local function rows_of(tbl)
  local rows = 0
  for _, body in ipairs(tbl.bodies) do
    rows = rows + #body.body
  end
  return rows
end

-- Letters across, a Chinese one counting as two; the longest line of a cell.
local function breadth(cell)
  local widest, current = 0, 0
  local function add(text)
    for _, code in utf8.codes(text) do
      current = current + (code >= 0x2e80 and 2 or 1)
    end
    widest = math.max(widest, current)
  end
  pandoc.Blocks(cell.contents):walk({
    traverse = 'topdown',
    Str = function(str) add(str.text) end,
    Code = function(code) add(code.text) end,
    Space = function() add(' ') end,
    LineBreak = function() current = 0 end,
  })
  return widest
end

-- Word has to be told how wide columns are and how small their letters.
local function for_word(tbl)
  local widths, total = {}, 0
  local function each_cell(rows, visit)
    for _, row in ipairs(rows) do
      for column, cell in ipairs(row.cells) do
        visit(column, cell)
      end
    end
  end
  local all = {tbl.head.rows}
  for _, body in ipairs(tbl.bodies) do
    table.insert(all, body.body)
  end
  for _, rows in ipairs(all) do
    each_cell(rows, function(column, cell)
      widths[column] = math.max(widths[column] or 0, math.min(breadth(cell), 60) + 3)
      cell.contents = styled('Table Text', cell.contents)
    end)
  end
  for _, width in ipairs(widths) do
    total = total + width
  end
  local room = math.max(total, 96)
  for column, spec in ipairs(tbl.colspecs) do
    tbl.colspecs[column] = {spec[1], (widths[column] or 1) / room}
  end
  return tbl
end

-- A wide table scrolls inside its own box on a narrow screen; on paper, one that fits on a page stays on one.
local function Table(tbl)
  tbl = with_narrow_headers(tbl)
  if FORMAT:match 'html' then
    return pandoc.Div(tbl, pandoc.Attr('', {'table'}))
  end
  if FORMAT:match 'docx' then
    return has(tbl, 'keyfigures') and tbl or for_word(tbl)
  end
  if FORMAT:match 'typst' and rows_of(tbl) <= 24 then
    return wrapped('#block(breakable: false, width: 100%)[', pandoc.Blocks({tbl}), ']')
  end
  return tbl
end

return {{Div = Div}, {Image = Image, Table = Table}}
